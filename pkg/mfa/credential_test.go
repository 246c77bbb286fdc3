package mfa_test

import (
	"encoding/base64"
	"encoding/json"
	"sync"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

func TestR8ManyFinishesWithOneKeyAtOnceAreOneFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		key := &passkeytest.Authenticator{}
		person := mfa.Person{ID: user}
		begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.WebAuthn})
		if err != nil {
			t.Fatal(err)
		}
		response := must(key.Create(begun.WebAuthn, mfatest.Origin))(t)
		services := twice(w)
		var c tally
		atOnce(64, func(i int) {
			_, err := services[i%2].FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: response}})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.EnrolmentInvalid, mfa.Busy, mfa.AlreadyExists)
		if u := shown(t, w); c.heard[""] != 1 || len(u.Factors) != 1 || u.Recovery.CodesLeft != 10 {
			t.Fatalf("got %v heard, %+v, want one factor", c.heard, u)
		}
		if got := len(events(t, w, mfa.FactorEnrolled)); got != 1 {
			t.Errorf("got %d factor.enrolled, want 1", got)
		}
	})
}

func TestR9AndI1OneResponseManyTimesAtOnceIsOneSuccess(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		key := &passkeytest.Authenticator{}
		w.EnrolKey(t, w.Fresh(), org, ana().User, key)
		ch := started(t, w, ana())
		response := w.Touch(t, key, ch)
		services := twice(w)
		var c tally
		atOnce(64, func(i int) {
			call := []mfa.Call{w.Client, {Bearer: ch.Token.Reveal()}}[i/2%2]
			_, err := services[i%2].Verify(t.Context(), call, mfa.VerifyRequest{Challenge: ch.ID, Answer: response})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.ChallengeInvalid, mfa.Busy)
		if c.heard[""] != 1 {
			t.Errorf("got %v heard, want one success", c.heard)
		}
	})
}

// A key and its copies answer three challenges, two with the counter 7 and one with the counter 3, which is accepted only
// before a 7.
func TestR9OfManyResponsesWithOneCounterAtOnceOneIsTaken(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		key := &passkeytest.Authenticator{}
		w.EnrolKey(t, w.Fresh(), org, ana().User, key)
		touch := func(count uint32) (id string, response mfa.Answer) {
			ch := started(t, w, ana())
			key.Misbehaviour.Count = func(uint32) uint32 { return count }
			return ch.ID, w.Touch(t, key, ch)
		}
		counts := []uint32{7, 7, 3}
		ids, responses := make([]string, len(counts)), make([]mfa.Answer, len(counts))
		for i, count := range counts {
			ids[i], responses[i] = touch(count)
		}
		services := twice(w)
		heard := make([]tally, len(counts))
		atOnce(63, func(i int) {
			which := i % len(counts)
			_, err := services[i/len(counts)%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ids[which], Answer: responses[which]})
			heard[which].add(err)
		})
		for i := range heard {
			heard[i].wantOnly(t, "", mfa.WrongCredential, mfa.ChallengeInvalid, mfa.Busy)
		}
		if taken := heard[0].heard[""] + heard[1].heard[""]; taken != 1 || heard[2].heard[""] > 1 {
			t.Errorf("got %v, %v heard for the counter 7 and %v for 3, want one success for 7", heard[0].heard, heard[1].heard, heard[2].heard)
		}
		for _, late := range []struct {
			count uint32
			right bool
		}{{3, false}, {7, false}, {8, true}} {
			id, response := touch(late.count)
			if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: id, Answer: response}); (err == nil) != late.right {
				t.Errorf("the counter %d after 7: got %v", late.count, err)
			}
		}
	})
}

// Two users finish their enrolments with the same credential id at the same time, which only a manipulated key does.
func TestR9OneCredentialIDOfTwoUsersAtOnceIsOneFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		people := []mfa.Person{ana().User, bob()}
		key := &passkeytest.Authenticator{}
		var responses []json.RawMessage
		var enrolments []string
		for _, p := range people {
			begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &p, Kind: mfa.WebAuthn})
			if err != nil {
				t.Fatal(err)
			}
			enrolments = append(enrolments, begun.ID)
			responses = append(responses, copyOf(t, key, begun.WebAuthn, responses))
		}
		services := twice(w)
		var c tally
		var one sync.Mutex
		enrolled := map[int]bool{}
		atOnce(64, func(i int) {
			_, err := services[i/2%2].FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: enrolments[i%2], Answer: mfa.Answer{Credential: responses[i%2]}})
			c.add(err)
			if err == nil {
				one.Lock()
				defer one.Unlock()
				enrolled[i%2] = true
			}
		})
		c.wantOnly(t, "", mfa.EnrolmentInvalid, mfa.Busy, mfa.AlreadyExists)
		if c.heard[""] != 1 || len(enrolled) != 1 {
			t.Errorf("got %v heard and %v enrolled, want one", c.heard, enrolled)
		}
	})
}

// copyOf makes a response with the credential id of the first earlier response, or with a new one if there is none.
func copyOf(t *testing.T, key *passkeytest.Authenticator, options json.RawMessage, earlier []json.RawMessage) json.RawMessage {
	t.Helper()
	if len(earlier) > 0 {
		key.NextID = credentialID(t, earlier[0])
	}
	return must(key.Create(options, mfatest.Origin))(t)
}

func credentialID(t *testing.T, response json.RawMessage) []byte {
	t.Helper()
	var said struct{ RawID string }
	if err := json.Unmarshal(response, &said); err != nil {
		t.Fatal(err)
	}
	return must(base64.RawURLEncoding.DecodeString(said.RawID))(t)
}

func TestR9ACredentialIDIsFreeOnceItsOwnerHasLostTheFactor(t *testing.T) {
	enrol := func(t *testing.T, w *mfatest.World, p mfa.Person, id []byte) ([]byte, error) {
		t.Helper()
		begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &p, Kind: mfa.WebAuthn})
		if err != nil {
			t.Fatal(err)
		}
		response := must((&passkeytest.Authenticator{NextID: id}).Create(begun.WebAuthn, mfatest.Origin))(t)
		_, err = w.FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: response}})
		return credentialID(t, response), err
	}
	for name, lose := range map[string]func(*testing.T, *mfatest.World, seal.Secret){
		"erased": func(t *testing.T, w *mfatest.World, _ seal.Secret) {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		},
		"recovered": func(t *testing.T, w *mfatest.World, code seal.Secret) {
			if _, err := recovering(t, w, code); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := plain(t, func(p *mfa.Policy) { p.Recovery.Effect = "reset" })
		code := w.EnrolKey(t, w.Fresh(), org, ana().User, &passkeytest.Authenticator{}).RecoveryCodes[0]
		id := must(base64.RawURLEncoding.DecodeString(shown(t, w).WebAuthnSignal.CredentialIDs[0]))(t)
		_, err := enrol(t, w, bob(), id)
		wantCode(t, err, mfa.AlreadyExists)
		if items := owners(t, w, id); items != 1 {
			t.Errorf("%s: got %d claims, want 1", name, items)
		}
		lose(t, w, code)
		if items := owners(t, w, id); items != 0 {
			t.Errorf("%s: got %d claims after it, want none", name, items)
		}
		if _, err := enrol(t, w, bob(), id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReenrolmentTakesAKeyThatIsAmongWhatItReplaces(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Recovery.Effect = mfa.EffectReenrol })
	key := &passkeytest.Authenticator{}
	code := w.EnrolKey(t, w.Fresh(), org, ana().User, key).RecoveryCodes[0]
	answer, err := recovering(t, w, code)
	if err != nil {
		t.Fatal(err)
	}
	key.NextID = must(base64.RawURLEncoding.DecodeString(shown(t, w).WebAuthnSignal.CredentialIDs[0]))(t)
	done := w.EnrolKey(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{}, key)
	if u := shown(t, w); len(u.Factors) != 1 || u.Factors[0].ID != done.Factor.ID || owners(t, w, key.NextID) != 1 {
		t.Errorf("got %+v, want the new factor alone", u)
	}
}

// owners counts the items that store the owner of a credential id.
func owners(t *testing.T, w *mfatest.World, id []byte) int {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.Store, mfa.CredentialKey(id))
	if err != nil {
		t.Fatal(err)
	}
	if item.Absent() {
		return 0
	}
	return 1
}
