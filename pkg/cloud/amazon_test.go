package cloud

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// An amazon stands on loopback for SES, KMS and EventBridge. It keeps what it was asked, and answers as a test says.
type amazon struct {
	URL string

	mu     sync.Mutex
	asked  []asked
	answer func(asked) (status int, body string) // nil: 200 and {}
	kms    *kmsKey                               // nil: KMS is answered like the others
}

type asked struct {
	Method, Path, Target, Type, Authorization, From string
	Body                                            []byte
	nth                                             int // 1 for the first
}

// lose is a status that makes the answer be lost.
const lose = -1

func newAmazon(t testing.TB) *amazon {
	a := &amazon{}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a.mu.Lock()
	q := asked{r.Method, r.URL.RequestURI(), r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.RemoteAddr, body, len(a.asked) + 1}
	a.asked = append(a.asked, q)
	status, answer := 200, "{}"
	switch {
	case a.kms != nil && strings.HasPrefix(q.Target, "TrentService."):
		status, answer = a.kms.answer(q)
	case a.answer != nil:
		status, answer = a.answer(q)
	}
	a.mu.Unlock()
	if status == lose {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	io.WriteString(w, answer)
}

func (a *amazon) requests() []asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]asked(nil), a.asked...)
}

// targets are the operations that were asked for, in order.
func (a *amazon) targets() string {
	var names []string
	for _, q := range a.requests() {
		names = append(names, q.Target[strings.IndexByte(q.Target, '.')+1:])
	}
	return strings.Join(names, " ")
}

// A kmsKey answers as KMS does for one key: it unwraps only what it wrapped, under the same encryption context.
type kmsKey struct {
	id     string
	secret [32]byte
	broken bool
}

func newKMSKey(id string) *kmsKey {
	k := &kmsKey{id: id}
	rand.Read(k.secret[:])
	return k
}

func (k *kmsKey) answer(q asked) (int, string) {
	var in struct {
		KeyId, KeySpec    string
		CiphertextBlob    []byte
		EncryptionContext map[string]string
	}
	if json.Unmarshal(q.Body, &in) != nil || in.KeyId != k.id || k.broken {
		return 400, `{"__type":"NotFoundException","message":"Key 'arn:aws:kms:secret' does not exist"}`
	}
	block, _ := aes.NewCipher(k.secret[:])
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	context, _ := json.Marshal(in.EncryptionContext)
	out := map[string][]byte{}
	switch q.Target {
	case "TrentService.GenerateDataKey":
		if in.KeySpec != "AES_256" {
			return 400, `{"__type":"ValidationException"}`
		}
		plain := make([]byte, 32)
		rand.Read(plain)
		out["Plaintext"], out["CiphertextBlob"] = plain, aead.Seal(nil, nil, plain, context)
	case "TrentService.Decrypt":
		plain, err := aead.Open(nil, nil, in.CiphertextBlob, context)
		if err != nil {
			return 400, `{"__type":"InvalidCiphertextException"}`
		}
		out["Plaintext"] = plain
	}
	body, _ := json.Marshal(out)
	return 200, string(body)
}

// A world is what a function finds on one machine: a table, an amazon, and a clock that is moved by hand.
type world struct {
	amazon *amazon
	env    map[string]string
	log    bytes.Buffer
	at     time.Time
}

// newWorld has everything but a table.
func newWorld(t testing.TB) *world {
	a := newAmazon(t)
	a.kms = newKMSKey("1234abcd-12ab")
	return &world{amazon: a, at: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC), env: map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "se/cr+et", "AWS_SESSION_TOKEN": "tok/en==",
		"AWS_SAM_LOCAL":     "true",
		"COUNTERSIGN_TABLE": "countersign", "COUNTERSIGN_KMS_KEY": a.kms.id, "COUNTERSIGN_ISSUER": "https://mfa.example.com",
		"COUNTERSIGN_SENDER": "no-reply@example.com", "COUNTERSIGN_BUS": "countersign",
		"COUNTERSIGN_DYNAMODB_ENDPOINT": closedPort(t), "COUNTERSIGN_KMS_ENDPOINT": a.URL,
		"COUNTERSIGN_SES_ENDPOINT": a.URL, "COUNTERSIGN_EVENTBRIDGE_ENDPOINT": a.URL,
	}}
}

// newWorldWithTable has a table of its own on DynamoDB Local too.
func newWorldWithTable(t testing.TB) *world {
	endpoint := dynamolocaltest.Endpoint(t)
	w := newWorld(t)
	client := dynamo.LocalClient(endpoint)
	name := "test-" + string(store.NewVersion())
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which is cancelled by now
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Error(err)
		}
	})
	w.env["COUNTERSIGN_TABLE"], w.env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = name, endpoint
	return w
}

// open starts a function whose clock is the world's.
func (w *world) open() *Deployment {
	d := open("verify", func(name string) string { return w.env[name] }, &w.log)
	d.now = func() time.Time { return w.at }
	return d
}

// closedPort is a URL on loopback where nothing listens.
func closedPort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("http://%s", l.Addr())
}
