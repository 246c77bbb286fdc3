package api

import (
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"countersign/pkg/mfa"
)

// A rememberedAnswer is an answer that package mfa keeps, encrypted, for a retry. Its body doesn't change, so it has the id of
// the first request.
type rememberedAnswer struct {
	Status int           `json:"status"`
	Code   mfa.ErrorCode `json:"code,omitempty"`
	Type   string        `json:"type"`
	Body   []byte        `json:"body"`
}

// replay reads the Idempotency-Key. If there is none, it returns nil, and the answer isn't remembered. say makes the HTTP
// answer from the domain's answer.
func (x *exchange) replay(body []byte, say func(any) (answer, error)) (*mfa.Replay, error) {
	sent := x.r.Header.Values("Idempotency-Key")
	if len(sent) == 0 {
		return nil, nil
	}
	if len(sent) > 1 || !goodKey(sent[0]) {
		return nil, invalid("Idempotency-Key", "The Idempotency-Key must be 1 to 255 printable ASCII characters.")
	}
	return &mfa.Replay{
		Method: x.r.Method, Path: x.r.URL.Path, Key: sent[0], Body: body,
		Encode: func(said any, refused *mfa.Error) (full, later []byte, err error) {
			if refused != nil {
				full, err = keep(problemAnswer(refused, x.id))
				return full, full, err
			}
			a, err := say(said)
			if err != nil {
				return nil, nil, err
			}
			if full, err = keep(a); err != nil {
				return nil, nil, err
			}
			shortened, ok := said.(interface{ WithoutShownOnce() any })
			if !ok {
				return full, full, nil
			}
			if err := a.write(shortened.WithoutShownOnce()); err != nil {
				return nil, nil, err
			}
			later, err = keep(a)
			return full, later, err
		},
	}, nil
}

func goodKey(key string) bool {
	if key == "" || len(key) > 255 {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

func keep(a answer) ([]byte, error) {
	return json.Marshal(&rememberedAnswer{Status: a.status, Code: a.code, Type: a.contentType, Body: a.body})
}

// recall makes the answer from what was kept of it.
func recall(kept []byte) (answer, error) {
	var r rememberedAnswer
	if err := json.Unmarshal(kept, &r); err != nil {
		return answer{}, fmt.Errorf("a remembered answer doesn't read: %w", err)
	}
	if http.StatusText(r.Status) == "" {
		return answer{}, fmt.Errorf("a remembered answer has the status %d", r.Status)
	}
	return answer{status: r.Status, code: r.Code, contentType: r.Type, body: r.Body}, nil
}
