// Package outbox reads the messages that a local server has recorded. Only the local server has this call.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// Code returns the last code that the server at base has sent to an address.
func Code(ctx context.Context, base, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/local/outbox?to="+url.QueryEscape(address), nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var sent struct {
		Messages []struct{ Code *string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&sent); err != nil {
		return "", err
	}
	for i := len(sent.Messages) - 1; i >= 0; i-- {
		if code := sent.Messages[i].Code; code != nil {
			return *code, nil
		}
	}
	return "", errors.New("no code was sent")
}
