package cloud

import (
	"encoding/json"
	"testing"

	"countersign/infra/amazon/amazontest"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/store/storetest"
)

// A world has what the processes of a deployment find.
type world struct{ *amazontest.World }

// newWorld makes a world without a table.
func newWorld(t testing.TB) world { return world{amazontest.New(t)} }

// open starts a function whose clock is that of the world.
func (w world) open() *Deployment {
	return Open(Process{Step: "verify", Environment: w.Getenv, Output: &w.Log, Now: w.Now})
}

// keyed returns an API key, and the service of a function that knows it although it has no table. So the service judges the form of a
// call, and gets no further.
func (w world) keyed(t testing.TB, d *Deployment) (*mfa.Service, string) {
	t.Helper()
	elsewhere := storetest.NewModel(w.Now)
	key, err := (&apikey.Registry{Store: elsewhere, Now: w.Now}).Create(t.Context(), apikey.Grant{Client: "web", Scopes: apikey.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	s := d.Service()
	s.Filter = &apikey.FilterKeeper{Store: elsewhere}
	return s, key.Reveal()
}

func decodeJSON(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}
