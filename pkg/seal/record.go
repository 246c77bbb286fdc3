package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const ringFormat = 1

// ringRecord is the plaintext of a ring. The ids are redundant, because each is derived from its key. They are there as checks.
type ringRecord struct {
	Format  int            `json:"format"`            // the format of this record
	Records int            `json:"records,omitempty"` // the format of the deployment's records
	Epoch   int64          `json:"epoch,omitempty"`   // the epoch of the deployment
	Secrets []secretRecord `json:"secrets"`
	Signers []signerRecord `json:"signers"`
}

type secretRecord struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Secret  string    `json:"secret"`
}

type signerRecord struct {
	Kid       string    `json:"kid"`
	NotBefore time.Time `json:"not_before"`
	Private   string    `json:"private"`
}

// Marshal returns the whole ring as JSON with a format number. The keys in it are in the clear, so a Keeper in the cloud encrypts
// it before it is stored.
func (r *Ring) Marshal() Secret {
	record := ringRecord{Format: ringFormat, Records: r.format, Epoch: r.epoch}
	for _, k := range r.secrets {
		record.Secrets = append(record.Secrets, secretRecord{k.id, k.created, encode(k.master)})
	}
	for _, s := range r.signers {
		scalar, err := s.private.Bytes()
		if err != nil {
			panic("seal: a signing key of the ring is not valid: " + err.Error())
		}
		record.Signers = append(record.Signers, signerRecord{s.kid, s.notBefore, encode(scalar)})
	}
	plain, err := json.Marshal(record)
	if err != nil {
		panic("seal: the ring doesn't marshal: " + err.Error())
	}
	return NewSecret(string(plain))
}

// Unmarshal reads what Marshal wrote. It accepts nothing else: neither the same JSON written differently nor a format that it
// doesn't know. It refuses a list that is empty or too long, a key that doesn't fit its id, and two keys with the same id. Its
// errors never have anything of what it read.
func Unmarshal(plain Secret) (*Ring, error) {
	record, err := readRecord([]byte(plain.Reveal()))
	if err != nil {
		return nil, err
	}
	if n := len(record.Secrets); n == 0 || n > maxKeys {
		return nil, fmt.Errorf("seal: read the key ring: it has %d secrets, and must have 1 to %d", n, maxKeys)
	}
	if n := len(record.Signers); n == 0 || n > maxKeys {
		return nil, fmt.Errorf("seal: read the key ring: it has %d signing keys, and must have 1 to %d", n, maxKeys)
	}
	if record.Records < 0 {
		return nil, errors.New("seal: read the key ring: its format of records is negative")
	}
	if record.Epoch < 0 {
		return nil, errors.New("seal: read the key ring: its epoch is negative")
	}
	held := &keys{format: record.Records, epoch: record.Epoch}
	seen := map[string]bool{}
	for i, s := range record.Secrets {
		key, ok := s.key()
		if !ok || seen[key.id] {
			return nil, fmt.Errorf("seal: read the key ring: secret %d is damaged", i+1)
		}
		seen[key.id] = true
		held.secrets = append(held.secrets, key)
	}
	for i, s := range record.Signers {
		key, ok := s.key()
		if !ok || seen[key.kid] {
			return nil, fmt.Errorf("seal: read the key ring: signing key %d is damaged", i+1)
		}
		seen[key.kid] = true
		held.signers = append(held.signers, key)
	}
	return &Ring{held}, nil
}

// readRecord reads the JSON. It doesn't return the errors of encoding/json, because these quote from the input.
func readRecord(plain []byte) (ringRecord, error) {
	var head struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(plain, &head) != nil {
		return ringRecord{}, errors.New("seal: read the key ring: it is not JSON, or its end is missing")
	}
	if head.Format != ringFormat {
		return ringRecord{}, fmt.Errorf("seal: read the key ring: it has format %d, and this program reads format %d", head.Format, ringFormat)
	}
	var record ringRecord
	if json.Unmarshal(plain, &record) != nil {
		return ringRecord{}, errors.New("seal: read the key ring: a field has the wrong type")
	}
	// encoding/json ignores unknown fields, repeated fields and the case of letters in names.
	again, err := json.Marshal(record)
	if err != nil || !bytes.Equal(again, plain) {
		return ringRecord{}, errors.New("seal: read the key ring: it is not as this program writes it")
	}
	return record, nil
}

func (s secretRecord) key() (*secretKey, bool) {
	master, ok := decode(s.Secret)
	if !ok || len(master) != secretSize {
		return nil, false
	}
	key := newSecretKey(master, s.Created)
	return key, key.id == s.ID && written(key.created)
}

func (s signerRecord) key() (*signer, bool) {
	scalar, ok := decode(s.Private)
	if !ok || len(scalar) != scalarSize {
		return nil, false
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, false
	}
	key, err := newSigner(private, s.NotBefore)
	if err != nil {
		return nil, false
	}
	return key, key.kid == s.Kid && written(key.notBefore)
}

// written reports whether t is written as a ring writes it: in UTC and whole seconds.
func written(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(whole(t))
}
