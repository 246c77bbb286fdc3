package functions

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

// imports is the part of the story in which users of another system come to hooli, with an app and a security key.
func (d *deployment) imports() {
	t := d.t
	old := d.oldKey()
	took := func(line object, want string) {
		got := d.call("POST", "/v1/orgs/hooli/import", line, "content-type", "application/x-ndjson").want(t, http.StatusOK)
		if !strings.Contains(got.body, want) {
			t.Errorf("got %s, want %s", got.body, want)
		}
	}
	uris := []string{"otpauth://totp/Old:nia?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA256&period=60"}
	nia := object{"id": "nia", "email": "nia@hooli.example", "totp_uris": uris, "webauthn": []object{old}}
	got := d.call("POST", "/v1/orgs/initech/import", object{"id": "pia"}, "content-type", "application/x-ndjson").want(t, http.StatusOK)
	if !strings.Contains(got.body, `"result":"created"`) {
		t.Errorf("into an organisation that nobody has seen yet: got %s", got.body)
	}
	took(nia, `"result":"created"`)
	took(nia, `"result":"unchanged"`)
	took(object{"id": "oli", "webauthn": []object{old}}, `"code":"already_exists"`)
}

// oldKey returns a security key that was registered in another system for the deployment's RP ID.
func (d *deployment) oldKey() object {
	d.t.Helper()
	const origin = "https://countersign.example"
	port, err := passkey.New(mfa.RelyingParty{ID: "countersign.example", Name: "Old"})
	if err != nil {
		d.t.Fatal(err)
	}
	now := time.Now()
	handle := []byte("nia of the other system")
	c := mfa.Ceremony{Challenge: make([]byte, 32), Origins: []string{origin}, UserVerification: "discouraged", Expires: now.Add(time.Minute)}
	options, err := port.CreationOptions(c, mfa.NewPasskey{Variant: mfa.SecurityKey, Handle: handle, Name: "nia", DisplayName: "Nia"})
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := (&passkeytest.Authenticator{}).Create(options, origin)
	if err != nil {
		d.t.Fatal(err)
	}
	made, err := port.Create(c, handle, response, now)
	if err != nil {
		d.t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	return object{
		"id": text(made.ID), "public_key": text(made.PublicKey), "counter": made.SignCount, "rp_id": "countersign.example", "user_handle": text(handle),
		"transports": made.Transports, "backup_eligible": nil,
	}
}
