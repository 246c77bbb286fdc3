package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"countersign/pkg/mfa"
)

type replayRecords struct {
	Function string `required:"" placeholder:"NAME" help:"The function publish of the deployment. Its name is the output PublishFunctionName of the stack."`
	Folder   string `arg:"" type:"existingdir" help:"A folder with copies of the objects in the bucket of failures. To make it: aws s3 sync s3://BUCKET FOLDER"`
}

// A failedInvocation has the fields that are used of an object in the bucket of failures. Lambda writes it when it gives up on a
// batch of a stream. https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
type failedInvocation struct {
	path      string
	Timestamp time.Time `json:"timestamp"`
	Batch     struct {
		Shard string `json:"shardId"`
		Start string `json:"startSequenceNumber"`
	} `json:"DDBStreamBatchInfo"`
	Payload string `json:"payload"` // what the function was called with, as text
}

// id returns the name under which the records are remembered once they have been replayed.
func (i *failedInvocation) id() string {
	sum := sha256.Sum256([]byte(i.Payload))
	return hex.EncodeToString(sum[:])
}

const mostAnswer = 1 << 20 // the most bytes of an answer of the function

// Run gives the records to the function. The records of each shard keep their order.
func (c *replayRecords) Run(ctx context.Context, p *program, where place) error {
	if where.Local != "" {
		return wrongCall("a local server gives up nothing, so there is nothing to replay in its folder")
	}
	found, err := readInvocations(c.Folder)
	if err != nil {
		return err
	}
	account, err := where.account(p)
	if err != nil {
		return err
	}
	return where.use(p, func(s *site) error {
		service := &mfa.Service{Store: s.store, Now: s.keys.Now}
		handed, before := 0, 0
		for i := range found {
			done, err := service.WasReplayed(ctx, found[i].id())
			if err != nil {
				return err
			}
			if done {
				before++
				continue
			}
			if err := c.invoke(ctx, p, account, found[i].Payload); err != nil {
				return fmt.Errorf("%s: %w. %d were handed on before it, and are not repeated", found[i].path, err, handed)
			}
			if err := service.NoteReplayed(ctx, found[i].id()); err != nil {
				return fmt.Errorf("%s was handed on, and that could not be noted: %w", found[i].path, err)
			}
			handed++
		}
		said := replayedBatches{c.Function, handed, before}
		return p.say(said, "%d batches were handed to %s again, and %d had been before.\n", handed, c.Function, before)
	})
}

// A replayedBatches says in JSON how many batches replay has handed to the function, and how many had been before.
type replayedBatches struct {
	Function string `json:"function"`
	Handed   int    `json:"handed"`
	Before   int    `json:"before"`
}

// readInvocations reads all files of a folder.
func readInvocations(folder string) (found []failedInvocation, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		i := failedInvocation{path: path}
		var batch struct {
			Records []json.RawMessage `json:"Records"`
		}
		// The errors of the decoder quote from the input, which has items of the table.
		if json.Unmarshal(text, &i) != nil || json.Unmarshal([]byte(i.Payload), &batch) != nil || len(batch.Records) == 0 {
			return fmt.Errorf("%s is not an object that Lambda has written about a batch of the table's stream", path)
		}
		found = append(found, i)
		return nil
	})
	// Sequence numbers are decimal, and longer ones are later.
	slices.SortStableFunc(found, func(a, b failedInvocation) int {
		return firstOf(strings.Compare(a.Batch.Shard, b.Batch.Shard), len(a.Batch.Start)-len(b.Batch.Start), strings.Compare(a.Batch.Start, b.Batch.Start), a.Timestamp.Compare(b.Timestamp))
	})
	return found, err
}

func firstOf(order ...int) int {
	for _, o := range order {
		if o != 0 {
			return o
		}
	}
	return 0
}

// invoke calls the function and waits for its answer. https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (c *replayRecords) invoke(ctx context.Context, p *program, a account, payload string) error {
	host := "lambda." + a.region + "." + domainOf(a.region)
	if a.fips {
		host = "lambda-fips." + a.region + "." + domainOf(a.region)
	}
	at := "https://" + host + "/2015-03-31/functions/" + url.PathEscape(c.Function) + "/invocations"
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader([]byte(payload)))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(payload))
	if err := v4.NewSigner().SignHTTP(ctx, a.credentials, q, hex.EncodeToString(sum[:]), "lambda", a.region, time.Now()); err != nil {
		return err
	}
	client := p.amazon
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	res, err := client.Do(q)
	if err != nil {
		return errors.New("the function could not be called")
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return errors.New("the answer of the function could not be read")
	}
	if res.StatusCode != http.StatusOK {
		code, _, _ := strings.Cut(res.Header.Get("X-Amzn-ErrorType"), ":")
		return fmt.Errorf("the call was refused by Lambda (%d %s)", res.StatusCode, code)
	}
	var taken struct {
		Failures []json.RawMessage `json:"batchItemFailures"`
	}
	if res.Header.Get("X-Amz-Function-Error") != "" || json.Unmarshal(answer, &taken) != nil || len(taken.Failures) > 0 {
		return errors.New("the function could not hand the records on. Its log says why")
	}
	return nil
}

// domainOf returns the domain of Amazon's services in a region.
func domainOf(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}
