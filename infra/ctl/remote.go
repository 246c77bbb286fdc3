package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign/pkg/seal"
)

// An access is how a verb reaches the API, for what needs the key ring or the rules of an organisation's policy. It works for a
// deployment and for a local server that is running alike.
type access struct {
	URL     string `name:"url" required:"" placeholder:"URL" help:"The base URL of the deployment, or of a local server that is running, such as http://localhost:8080."`
	KeyFile string `name:"key-file" required:"" type:"existingfile" placeholder:"FILE" help:"A file with an API key that has the scope admin. Of a local server it is api-key in the data folder."`
}

// overAPI marks a verb that is carried out by the API, and not on a table or a folder.
func (access) overAPI() {}

// remoteTime is how long one call may take. An HTTP API stops waiting after 30 seconds.
const remoteTime = 40 * time.Second

// A remote is the API of a deployment.
type remote struct {
	base   string
	key    seal.Secret
	client *http.Client
}

// open reads the API key, and makes no call yet. It refuses a URL by which the key would travel in the clear.
func (a access) open() (*remote, error) {
	u, err := url.Parse(a.URL)
	local := err == nil && u.Scheme == "http" && (u.Hostname() == "localhost" || loopbackURL(a.URL))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && !local {
		return nil, wrongCall("--url must be an https URL, or an http URL of this machine")
	}
	text, err := os.ReadFile(a.KeyFile)
	if err != nil {
		return nil, err
	}
	return &remote{
		base: strings.TrimSuffix(a.URL, "/"), key: seal.NewSecret(strings.TrimSpace(string(text))),
		client: &http.Client{Timeout: remoteTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// A refusedCall is a problem document (RFC 9457) with which the API has answered.
type refusedCall struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Param  string `json:"param"`
	Detail string `json:"detail"`
}

func (r *refusedCall) Error() string {
	said := fmt.Sprintf("the API answered %d %s", r.Status, r.Code)
	if r.Param != "" {
		said += " about " + r.Param
	}
	return strings.TrimSpace(said + ". " + r.Detail)
}

// post makes a call, and returns its answer.
func (r *remote) post(ctx context.Context, path, contentType string, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL can't be called")
	}
	q.Header.Set("Authorization", "Bearer "+r.key.Reveal())
	q.Header.Set("Content-Type", contentType)
	res, err := r.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("the API can't be reached: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("the answer of the API broke off: %w", err)
	}
	if res.StatusCode/100 != 2 {
		refused := &refusedCall{}
		if err := json.Unmarshal(said, refused); err != nil || refused.Code == "" {
			return nil, fmt.Errorf("the API answered %d, and not with a problem document: is the URL right?", res.StatusCode)
		}
		refused.Status = res.StatusCode
		return nil, refused
	}
	return said, nil
}

// change makes a call with a JSON body, and prints its answer.
func (r *remote) change(ctx context.Context, p *program, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	said, err := r.post(ctx, path, "application/json", text)
	if err != nil {
		return err
	}
	var shown bytes.Buffer
	if err := json.Indent(&shown, said, "", "  "); err != nil {
		return fmt.Errorf("the answer of the API is not JSON: %w", err)
	}
	_, err = fmt.Fprintln(p.out, shown.String())
	return err
}

// idInPath writes an id as it can always stand in a path of the API.
func idInPath(id string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(id)) }

type resetUser struct {
	access
	Org    string `arg:"" help:"The id of the organisation."`
	User   string `arg:"" help:"The id of the user."`
	Actor  string `required:"" placeholder:"ID" help:"Who does this. The activity says it."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, in up to 500 bytes. The activity says it."`
}

// Run removes a user's 2FA, or asks for it where the policy wants a second approver or a waiting time, and prints the answer.
func (c *resetUser) Run(ctx context.Context, p *program) error {
	r, err := c.open()
	if err != nil {
		return err
	}
	return r.change(ctx, p, "/v1/orgs/"+idInPath(c.Org)+"/users/"+idInPath(c.User)+"/reset", map[string]any{"actor": c.Actor, "reason": c.Reason})
}

type passUser struct {
	access
	Org     string         `arg:"" help:"The id of the organisation."`
	User    string         `arg:"" help:"The id of the user."`
	Actor   string         `required:"" placeholder:"ID" help:"Who does this. The activity says it."`
	Reason  string         `required:"" placeholder:"TEXT" help:"Why, in up to 500 bytes. The activity says it."`
	Expires *time.Duration `placeholder:"DURATION" help:"How long the pass can be used, such as 30m. By default as long as the policy allows."`
}

// Run issues a pass for a user, and prints it once.
func (c *passUser) Run(ctx context.Context, p *program) error {
	r, err := c.open()
	if err != nil {
		return err
	}
	body := map[string]any{"actor": c.Actor, "reason": c.Reason}
	if c.Expires != nil {
		body["expires_s"] = int(c.Expires.Seconds())
	}
	return r.change(ctx, p, "/v1/orgs/"+idInPath(c.Org)+"/users/"+idInPath(c.User)+"/passes", body)
}
