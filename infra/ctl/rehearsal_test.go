package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/amazon/amazontest"
	"countersign/infra/emulator/emulatortest"
	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/storetest"
)

// A deployment is a deployment on DynamoDB Local with a stand-in of KMS. It works as one of the deployment's processes.
type deployment struct {
	*mfatest.World
	t    *testing.T
	aws  *amazontest.World
	keys *keyring.Keeper
}

// process starts a process of the deployment whose table the environment names.
func process(t *testing.T, aws *amazontest.World, clock *storetest.Clock, client mfa.Call) *deployment {
	t.Helper()
	d := cloud.Open(cloud.Process{Step: "verify", Environment: aws.Getenv, Output: &aws.Log, Now: clock.Now})
	keys := keyring.Of(d)
	if _, err := keys.Ring(t.Context()); err != nil {
		t.Fatal(err)
	}
	var w *mfatest.World
	if client.Bearer == "" {
		w = mfatest.Over(t, d.Store(), nil, clock)
	} else {
		s := d.Service()
		s.Mail, s.Issuer = &mfatest.Outbox{}, "https://countersign.example"
		w = &mfatest.World{Service: s, Clock: clock, Client: client, APIKeys: &apikey.Registry{Store: d.Store(), Now: clock.Now}}
	}
	w.Service.Keys = keys
	return &deployment{w, t, aws, keys}
}

func (d *deployment) start(q mfa.StartRequest) mfa.StartAnswer {
	d.t.Helper()
	answer, err := d.StartChallenge(d.t.Context(), d.Client, q)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer
}

// signIn signs a user in by app. The sign-in must succeed.
func (d *deployment) signIn(user string, a *mfatest.Authenticator, trust bool) mfa.VerifyAnswer {
	d.t.Helper()
	begun := d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: user}})
	if begun.Challenge == nil {
		d.t.Fatalf("%s: got %+v, want a challenge", user, begun.Decision)
	}
	q := mfa.VerifyRequest{Challenge: begun.Challenge.ID, Answer: mfa.Answer{Code: d.NextCode(a)}}
	if trust {
		q.Trust = &mfa.TrustChoice{Name: "Firefox"}
	}
	answer, err := d.Verify(d.t.Context(), d.Client, q)
	if err != nil {
		d.t.Fatalf("an honest sign-in of %s: %v", user, err)
	}
	return answer
}

// copyTable makes another table with the same items, as a restore to this moment would.
func copyTable(t *testing.T, client *dynamodb.Client, from string) (to string) {
	t.Helper()
	to = "restored-" + string(store.NewVersion())
	if err := dynamo.CreateTable(t.Context(), client, to); err != nil {
		t.Fatal(err)
	}
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &from})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &to, Item: item}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return to
}

func TestADeploymentIsRestoredAdoptedAndItsKeysAreRotatedWhileUsersSignIn(t *testing.T) {
	aws := amazontest.NewWithTable(t)
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	endpoint := aws.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"]
	db := dynamo.LocalClient(endpoint)
	d := process(t, aws, clock, mfa.Call{})
	d.SetPolicy(t, acme, "default", nil)
	d.SetPolicy(t, bell, "kls", nil)
	var going guests
	going.come(d)
	beside := emulatortest.Let(t, 2, going.signIn) // all the time
	beside.Served(t, 3)
	apps := map[string]*mfatest.Authenticator{}
	var codes []seal.Secret
	for _, user := range []string{"ana", "bob", "eve"} {
		var done mfa.FinishAnswer
		apps[user], done = d.EnrolTOTP(t, d.Fresh(), acme, mfa.Person{ID: user})
		if user == "ana" {
			codes = done.RecoveryCodes
		}
	}
	trust := d.signIn("ana", apps["ana"], true).TrustToken
	shop := d.NewClient(t, apikey.Grant{Client: "shop", Scopes: apikey.Scopes()})
	open := d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: "ana"}}).Challenge

	beside.Served(t, 3)
	moment := clock.Now()
	backup := copyTable(t, db, aws.Env["COUNTERSIGN_TABLE"])

	// This happens after that moment, so the restored table doesn't have it.
	clock.Advance(time.Minute)
	begun := d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: "ana"}})
	if _, err := d.Recover(t.Context(), d.Client, mfa.RecoverRequest{Challenge: begun.Challenge.ID, Code: codes[0]}); err != nil {
		t.Fatal(err)
	}
	if err := d.RevokeBrowsers(t.Context(), d.Client, acme, "ana"); err != nil {
		t.Fatal(err)
	}
	if err := d.EraseUser(t.Context(), d.Client, acme, "bob"); err != nil {
		t.Fatal(err)
	}
	erased := clock.Now()
	if _, err := d.APIKeys.Revoke(t.Context(), apikey.ID(seal.NewSecret(shop.Bearer))); err != nil {
		t.Fatal(err)
	}
	d.signIn("eve", apps["eve"], false)

	// The restored table has a name of its own, so its functions are new processes. Until they are ready, users go on with the
	// table that there is.
	beside.Served(t, 3)
	beside.Between(func() { aws.Env["COUNTERSIGN_TABLE"] = backup })
	o := newOperator()
	o.now = clock.Now
	flags := []string{"--table", backup, "--endpoint", endpoint}
	export := filepath.Join(t.TempDir(), "events.jsonl")
	text, err := json.Marshal(activity.Event{ID: "ev_1", Type: mfa.UserErased, Org: acme, User: "bob", Time: erased})
	if err == nil {
		err = os.WriteFile(export, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	as := func(token seal.Secret) string {
		d.t.Helper()
		q := mfa.StartRequest{Org: acme, User: mfa.Person{ID: "ana"}, TrustToken: token}
		decided, err := d.Decide(t.Context(), d.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		return decided.Reason
	}
	d = process(t, aws, clock, d.Client)
	if got := as(*trust); got != mfa.BrowserTrust {
		t.Fatalf("before the command: got %s, want that the backup has brought trust back", got)
	}
	o.must(t, append([]string{"restored", "--moment", moment.Format(time.RFC3339), "--events", export}, flags...)...)
	o.must(t, append([]string{"keys", "confirm", apikey.ID(seal.NewSecret(d.Client.Bearer))}, flags...)...)

	beside.Served(t, 3)
	d = process(t, aws, clock, d.Client)
	beside.Between(func() { going.come(d) })
	beside.Served(t, 5)
	if got := as(*trust); got != mfa.NewBrowser {
		t.Errorf("trust that was revoked: got %s, want that the browser is not trusted", got)
	}
	if _, err := d.GetPolicy(t.Context(), shop, acme); mfa.AsError(err).Code != mfa.Unauthenticated {
		t.Errorf("an API key that was revoked: got %v, want unauthenticated", err)
	}
	if _, err := d.GetUser(t.Context(), d.Client, acme, "bob"); mfa.AsError(err).Code != mfa.NotFound {
		t.Errorf("a user who was erased: got %v, want not_found", err)
	}
	if _, err := d.Verify(t.Context(), d.Client, mfa.VerifyRequest{Challenge: open.ID, Answer: mfa.Answer{Code: d.NextCode(apps["ana"])}}); mfa.AsError(err).Code != mfa.ChallengeInvalid {
		t.Errorf("a challenge of before: got %v, want challenge_invalid", err)
	}
	for _, code := range codes[:2] {
		ch := d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: "ana"}}).Challenge
		if _, err := d.Recover(t.Context(), d.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: code}); mfa.AsError(err).Code != mfa.MethodForbidden {
			t.Errorf("a recovery code of before: got %v, want method_forbidden", err)
		}
	}
	if got := d.signIn("ana", apps["ana"], false); len(got.RecoveryCodes) != 10 {
		t.Errorf("got %d recovery codes, want a new set", len(got.RecoveryCodes))
	}
	d.signIn("eve", apps["eve"], false)

	// The sweep rotates the keys, while another process still has the earlier ring.
	o.must(t, append([]string{"keys", "rotate"}, flags...)...)
	sweeping := process(t, aws, clock, d.Client)
	going.come(d, sweeping)
	beside.Served(t, 3)
	if changed, err := sweeping.keys.Tend(t.Context()); err != nil || !changed {
		t.Fatalf("got changed %v, %v, want new keys", changed, err)
	}
	fresh := process(t, aws, clock, d.Client)
	going.come(d, sweeping, fresh)
	beside.Served(t, 5)
	for _, worker := range []*deployment{d, sweeping, fresh, d} {
		kept := worker.signIn("eve", apps["eve"], true).TrustToken
		for _, other := range []*deployment{d, sweeping} {
			clock.Advance(time.Second)
			q := mfa.StartRequest{Org: acme, User: mfa.Person{ID: "eve"}, TrustToken: *kept}
			if got := other.start(q); got.Reason != mfa.BrowserTrust {
				t.Errorf("got %+v, want trust that another process gave", got.Decision)
			} else if got.TrustToken != nil {
				kept = got.TrustToken
			}
		}
	}

	// The stack is deleted, and its table and key are brought under a new one. Its functions are new processes on the same table.
	// What was begun with the old ones is finished with the new ones.
	o.must(t, "adopt", "--table", backup, "--region", "eu-west-1", "--key", "1234abcd-12ab-34cd-56ef-1234567890ab", "--bucket", "failures", "--stack", "again", filepath.Join(t.TempDir(), "adopt"))
	begun = d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: "eve"}})
	kept := d.signIn("eve", apps["eve"], true).TrustToken
	d = process(t, aws, clock, d.Client)
	going.come(d, process(t, aws, clock, d.Client))
	beside.Served(t, 5)
	if _, err := d.Verify(t.Context(), d.Client, mfa.VerifyRequest{Challenge: begun.Challenge.ID, Answer: mfa.Answer{Code: d.NextCode(apps["eve"])}}); err != nil {
		t.Errorf("a challenge that was begun before: %v", err)
	}
	if got := d.start(mfa.StartRequest{Org: acme, User: mfa.Person{ID: "eve"}, TrustToken: *kept}); got.Reason != mfa.BrowserTrust {
		t.Errorf("got %+v, want trust that was given before", got.Decision)
	}
	beside.Served(t, 3)
	beside.Leave()
}
