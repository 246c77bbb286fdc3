package mfa

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// fullGuard returns a guard in which everything has its largest size. No other text takes more room than ampersands in an
// encoding that escapes them, and an email address may consist of them.
func fullGuard() *guard {
	text := func(bytes int) string { return strings.Repeat("&", bytes) }
	email := text(64) + "@" + strings.Repeat("a", 254-65)
	at, yes := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC), true
	tries := func(b budget) attempts {
		return attempts{At: slices.Repeat([]int64{at.UnixMilli()}, b.inDay), Locks: 1000, Until: at}
	}
	wrong := func(b budget) wrongAnswers {
		return wrongAnswers{attempts: tries(b), KnownBrowsers: tries(b), InARow: wrongInARow}
	}
	slotOf := slot{
		ID: shortID(seal.ID("ch_", make([]byte, routeLen))), Begun: at, Until: at, Sequence: sendsInDay, Wrong: 100, State: verified, EndedAt: at,
		WrittenBy: store.NewVersion(), Kind: WebAuthn, Browser: seal.ID("tb_", nil), KnownTokensEnded: true, Proven: true,
		Factor: seal.ID("fa_", nil), Effect: EffectReenrol, CodesLeft: 20, AMR: []string{"swk", "user"}, Later: longestCommit.Microseconds() + 1,
	}
	var items []waited
	for _, topic := range topics {
		switch {
		case topic.always:
		case topic.event == FactorEnrolled || topic.event == FactorRemoved:
			for _, k := range append(Kinds(), "another", "one more") { // so there is room for two more kinds
				items = append(items, waited{Topic: topic.name, Kind: k, Times: 1000, Last: at})
			}
		default:
			items = append(items, waited{Topic: topic.name, Times: 1000, Last: at})
		}
	}
	return &guard{
		Org: text(128), User: text(128), Epoch: newEpoch(), Profile: profile{Email: email, Phone: "+123456789012345", Name: text(200), Locale: text(35)},
		ActivityKey: activity.NewKey(), TrustEpoch: newEpoch(), KnownWord: newEpoch(), Enabled: true, Enforced: true, Deprovisioned: true,
		Factors: slices.Repeat([]enrolledFactor{{ID: seal.ID("fa_", nil), Kind: WebAuthn, Used: at, Step: at.Unix(), SignCount: math.MaxUint32, BackedUp: true, BackupEligible: &yes}}, mostFactors),
		Recovery: &recoverySet{
			ID: newEpoch(), Made: at, MadeBy: store.NewVersion(), PolicyVersion: 1e6,
			Codes: slices.Repeat([]string{seal.NewRing(at).Digest("recovery", "code")}, 20),
		},
		RecoveryCodesDue: true, Slots: slices.Repeat([]slot{slotOf}, mostSlots), EvictedUntil: at, EnrolmentSlot: &slotOf,
		WrongCodes: wrong(codeBudget()), WrongRecoveryCodes: wrong(recoveryBudget()),
		EmailsSent: slices.Repeat([]int64{at.UnixMicro()}, sendsInDay), LastUncounted: at.UnixMicro(),
		Returned:    slices.Repeat([]returned{{Address: make([]byte, addressLen), At: at, State: sentAgain}}, mostReturned),
		TextsSent:   slices.Repeat([]int64{at.UnixMicro()}, sendsInDay),
		NoticesSent: slices.Repeat([]int64{at.UnixMilli()}, noticesInDay),
		// The address that changes in this call waits beside the new one. Both come in addition to those that may still wait
		// after the next call.
		NoticesWaiting: slices.Repeat([]waiting{{recipient{Address: email, Name: text(200), Language: "fr", Client: text(64), Channel: channelSMS, Cap: 1_000_000}, items}}, mostWaiting+2),
		Pass:           &pass{ID: newEpoch(), Digest: seal.NewRing(at).Digest("pass", "code"), Ends: at, MadeBy: store.NewVersion(), PolicyVersion: 1e6},
		Reset: &resetRequest{
			ID: seal.ID("rs_", make([]byte, routeLen)), By: hashOfClient(""), Client: hashOfClient(""), Asked: at, NeedsApproval: true, Approved: true, HoldS: 604800,
			Due: at, State: cancelled, Ended: at, DecidedBy: store.NewVersion(), SelfService: true, InPortal: true,
		},
		ProveAddress: email,
		MFATime:      at, Handle: randomBytes(32), RosterVersion: store.NewVersion(), DeploymentEpoch: at.Unix(),
		SessionsEnded: &sessionEnd{At: at, Reason: signedOutByPolicy}, Settled: 1e6, GraceUntil: &at, Skips: 1_000_000,
	}
}

// unset returns the paths of the fields in v that are zero.
func unset(v reflect.Value, path string) (paths []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return unset(v.Elem(), path)
		}
	case reflect.Slice:
		if v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct {
			paths = unset(v.Index(0), path)
			for i := range v.Len() { // a field is set if one element has it
				rest := unset(v.Index(i), path)
				paths = slices.DeleteFunc(paths, func(p string) bool { return !slices.Contains(rest, p) })
			}
			return paths
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[record.Head]() {
			break
		}
		for i := range v.NumField() {
			paths = append(paths, unset(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return paths
	}
	if v.IsZero() && v.Type() != reflect.TypeFor[record.Head]() {
		paths = append(paths, path)
	}
	return paths
}

func TestAGuardWithEverythingAtItsBoundIsNoMoreThanTheActivityMayReadForAUser(t *testing.T) {
	g := fullGuard()
	for _, path := range unset(reflect.ValueOf(g), "guard") {
		t.Errorf("%s is empty: bring it to its bound", path)
	}
	// A user who has to prove an address has no factors: enrolling one ends the need.
	enrolled, reset := *g, *g
	enrolled.ProveAddress = ""
	reset.Factors, reset.Recovery = nil, nil
	for name, g := range map[string]*guard{"with factors": &enrolled, "after a reset": &reset} {
		body, err := record.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(body); got > activity.UserBytes {
			t.Errorf("%s: got %d bytes, want at most %d; mostWaiting and the bounds of the other lists say how many there are", name, got, activity.UserBytes)
		}
	}
}
