package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func mustRotate(t *testing.T, ring *Ring, now time.Time) *Ring {
	t.Helper()
	rotated, err := ring.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	return rotated
}

func TestWhatWasMadeBeforeARotationIsGoodAfterIt(t *testing.T) {
	before := NewRing(start)
	sealed := before.Seal("totp", factorFields, factorSecret)
	with := before.SealWith([]byte("key"), "answer", factorFields, factorSecret)
	digest := before.Digest("code", factorFields...)
	mac, err := before.mac(before.Newest(), "browser", []string{"line", "1"})
	if err != nil {
		t.Fatal(err)
	}
	token := mustSign(t, before, start)

	after := before
	for range 3 {
		after = mustRotate(t, after, start.Add(time.Minute))
	}
	if got, err := after.Open("totp", factorFields, sealed); err != nil || !bytes.Equal(got, factorSecret) {
		t.Errorf("Open: %q, %v", got, err)
	}
	if got, err := after.OpenWith([]byte("key"), "answer", factorFields, with); err != nil || !bytes.Equal(got, factorSecret) {
		t.Errorf("OpenWith: %q, %v", got, err)
	}
	if ok, err := after.Check(digest, "code", factorFields...); err != nil || !ok {
		t.Errorf("Check: %v, %v", ok, err)
	}
	if got, err := after.mac(before.Newest(), "browser", []string{"line", "1"}); err != nil || !bytes.Equal(got, mac) {
		t.Errorf("MAC: %x, %v; want %x", got, err, mac)
	}
	if _, err := after.Verify(token); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, err := clientVerify(t, after.JWKS(), token); err != nil {
		t.Errorf("a client's verification: %v", err)
	}

	if after.Newest() == before.Newest() {
		t.Error("a rotation leaves the newest key")
	}
	id, err := after.SealedUnder(after.Seal("totp", factorFields, factorSecret))
	if err != nil || id != after.Newest() {
		t.Errorf("sealed under %q, %v; want the newest, %q", id, err, after.Newest())
	}
	if raw, ok := decode(after.Digest("code", "a")); !ok || encode(raw[:keyIDSize]) != after.Newest() {
		t.Error("a digest is not under the newest key")
	}
	if _, err := before.Open("totp", factorFields, after.Seal("totp", factorFields, factorSecret)); err != ErrUnknownKey {
		t.Errorf("the ring before opens what was sealed after: %v, want %v", err, ErrUnknownKey)
	}
}

func TestASigningKeyIsPublishedBeforeItSigns(t *testing.T) {
	before := NewRing(start)
	rotation := start.Add(24 * time.Hour)
	after := mustRotate(t, before, rotation)
	oldKid, newKid := after.signers[0].kid, after.signers[1].kid
	if before.signers[0].kid != oldKid {
		t.Fatal("the rotation changed the old signing key")
	}
	published := clientKeys(t, after.JWKS())
	if len(published) != 2 || published[oldKid] == nil || published[newKid] == nil {
		t.Errorf("the JWKS has %d keys, want the old and the new", len(published))
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{-48 * time.Hour, oldKid}, // the clock is behind
		{0, oldKid},
		{Published - time.Nanosecond, oldKid},
		{Published, newKid},
		{Published + 1000*time.Hour, newKid},
	} {
		token := mustSign(t, after, rotation.Add(c.after))
		if got := headerKid(t, token); got != c.want {
			t.Errorf("%s after the rotation: signed by %s, want %s", c.after, got, c.want)
		}
		if _, err := clientVerify(t, after.JWKS(), token); err != nil {
			t.Errorf("%s after the rotation: %v", c.after, err)
		}
	}
	if got, want := Published, RingAge+JWKSAge; got <= want {
		t.Errorf("published for %s; a ring and a JWKS may be %s old together", got, want)
	}
}

func TestASigningKeyIsKeptUntilItsTokensAreOver(t *testing.T) {
	ring := mustRotate(t, NewRing(start), start)
	retired := start.Add(Published)
	last := mustSign(t, ring, retired.Add(-time.Nanosecond))
	if got := headerKid(t, last); got != ring.signers[0].kid {
		t.Fatalf("signed by %s, want the old key", got)
	}
	kept := ring.Drop(retired.Add(SignerKept))
	if _, err := kept.Verify(last); err != nil {
		t.Errorf("%s after it last signed: %v", SignerKept, err)
	}
	dropped := ring.Drop(retired.Add(SignerKept + time.Second))
	if _, err := dropped.Verify(last); err != ErrUnknownKey {
		t.Errorf("after that: %v, want %v", err, ErrUnknownKey)
	}
	if got := len(clientKeys(t, dropped.JWKS())); got != 1 {
		t.Errorf("%d keys in the JWKS, want 1", got)
	}
	if got := len(dropped.Drop(start.Add(1000 * time.Hour)).signers); got != 1 {
		t.Errorf("%d signing keys after years, want the one in use", got)
	}
	if got, want := len(dropped.secrets), 2; got != want {
		t.Errorf("%d secrets, want %d: time removes none", got, want)
	}
	if got, want := len(mustRotate(t, ring, start.Add(1000*time.Hour)).signers), 2; got != want {
		t.Errorf("%d signing keys after a late rotation, want %d", got, want)
	}
	if len(ring.signers) != 2 {
		t.Error("Drop changed the ring it was called on")
	}
}

func TestRotationsMayFollowEachOtherClosely(t *testing.T) {
	ring := NewRing(start)
	now := start
	var tokens []string
	for range 12 {
		now = now.Add(30 * time.Minute)
		published := clientKeys(t, ring.JWKS())
		ring = mustRotate(t, ring, now)
		token := mustSign(t, ring, now)
		if published[headerKid(t, token)] == nil {
			t.Errorf("%s: signed by a key that was only now published", now)
		}
		tokens = append(tokens, token)
	}
	for i, token := range tokens[len(tokens)-4:] {
		if _, err := ring.Verify(token); err != nil {
			t.Errorf("token %d of the last two hours: %v", i, err)
		}
	}
	if got, most := len(ring.signers), 10; got > most {
		t.Errorf("%d signing keys, want at most %d", got, most)
	}
}

func TestARotationUnderAWrongClockDoesNotStopTheNext(t *testing.T) {
	ring := mustRotate(t, NewRing(start), start.Add(10*365*24*time.Hour))
	ring = mustRotate(t, ring, start)
	token := mustSign(t, ring, start.Add(Published))
	if got, want := headerKid(t, token), ring.signers[2].kid; got != want {
		t.Errorf("signed by %s, want the last key, %s", got, want)
	}
	ring = ring.Drop(start.Add(Published + SignerKept + time.Hour))
	if got := len(ring.signers); got != 1 {
		t.Errorf("%d signing keys are left, want 1: the others can't sign again", got)
	}
}

func TestAFullRingIsNotRotated(t *testing.T) {
	ring := NewRing(start)
	for i := 1; i < maxKeys; i++ {
		ring = mustRotate(t, ring, start)
	}
	if _, err := ring.Rotate(start); err == nil {
		t.Error("a full ring was rotated")
	}
	plain := ring.Marshal()
	if got, most := len(plain.Reveal()), 48<<10; got > most {
		t.Errorf("a full ring has %d bytes, want at most %d, so that it fits 64 KB when wrapped", got, most)
	}
	if _, err := Unmarshal(plain); err != nil {
		t.Errorf("a full ring is not read: %v", err)
	}
	if _, err := ring.Rotate(start.Add(1000 * time.Hour)); err == nil {
		t.Error("a ring full of secrets was rotated")
	}
}

func TestASecretIsForgottenOnlyWhenAskedAndOld(t *testing.T) {
	first := NewRing(start)
	sealed := first.Seal("totp", factorFields, factorSecret)
	ring := mustRotate(t, first, start.Add(time.Hour))
	due := start.Add(time.Hour + SecretKept)
	if _, err := ring.Forget(ring.Newest(), due.Add(time.Hour)); err == nil {
		t.Error("the newest secret was forgotten")
	}
	if _, err := ring.Forget(first.Newest(), due.Add(-time.Second)); err == nil {
		t.Error("a secret was forgotten early")
	}
	if _, err := ring.Forget("AAAAAAAAAAA", due); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an unknown one: %v, want %v", err, ErrUnknownKey)
	}
	left, err := ring.Forget(first.Newest(), due)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := left.Open("totp", factorFields, sealed); err != ErrUnknownKey {
		t.Errorf("after it: %v, want %v", err, ErrUnknownKey)
	}
	if got, want := fmt.Sprint(left.KeyIDs()), fmt.Sprint([]string{ring.Newest()}); got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	if got, err := ring.Open("totp", factorFields, sealed); err != nil || !bytes.Equal(got, factorSecret) {
		t.Errorf("Forget changed the ring it was called on: %v", err)
	}
}

func TestARingThatWasWrittenAndReadIsTheSame(t *testing.T) {
	ring := mustRotate(t, mustRotate(t, NewRing(start.Add(time.Nanosecond)), start), start.Add(time.Hour))
	read, err := Unmarshal(ring.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if !read.Marshal().Equal(ring.Marshal()) || !bytes.Equal(read.JWKS(), ring.JWKS()) || read.Newest() != ring.Newest() {
		t.Error("the ring read is another")
	}
	if got, err := read.Open("totp", factorFields, ring.Seal("totp", factorFields, factorSecret)); err != nil || !bytes.Equal(got, factorSecret) {
		t.Errorf("Open: %v", err)
	}
	if ok, err := ring.Check(read.Digest("code", "a"), "code", "a"); err != nil || !ok {
		t.Errorf("Check: %v, %v", ok, err)
	}
	for _, now := range []time.Time{start, start.Add(Published), start.Add(time.Hour + Published)} {
		if got, want := headerKid(t, mustSign(t, read, now)), headerKid(t, mustSign(t, ring, now)); got != want {
			t.Errorf("at %s signed by %s, want %s", now, got, want)
		}
	}
	if !strings.HasPrefix(ring.Marshal().Reveal(), `{"format":1,`) {
		t.Error("the record has no format number")
	}
}

func TestADamagedRingIsRefusedWithoutShowingIt(t *testing.T) {
	ring := mustRotate(t, NewRing(start), start)
	plain := ring.Marshal().Reveal()
	material := []string{}
	for _, k := range ring.secrets {
		material = append(material, encode(k.master))
	}
	for _, s := range ring.signers {
		scalar, err := s.private.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		material = append(material, encode(scalar))
	}
	replace := func(old, new string) string { return strings.Replace(plain, old, new, 1) }
	cases := map[string]string{
		"nothing":              "",
		"null":                 "null",
		"array":                "[]",
		"line end after":       plain + "\n",
		"space inside":         replace(":", ": "),
		"field in capitals":    replace("signers", "Signers"),
		"field twice":          replace(`"format":1,`, `"format":1,"format":1,`),
		"time with an offset":  replace(`"created":"2026-11-23T10:00:00Z"`, `"created":"2026-11-23T10:00:00+00:00"`),
		"time with fractions":  replace(`"created":"2026-11-23T10:00:00Z"`, `"created":"2026-11-23T10:00:00.5Z"`),
		"no format":            replace(`"format":1,`, ""),
		"format 0":             replace(`"format":1`, `"format":0`),
		"format 2":             replace(`"format":1`, `"format":2`),
		"format as text":       replace(`"format":1`, `"format":"1"`),
		"cut short":            plain[:len(plain)-1],
		"cut in the middle":    plain[:len(plain)/2],
		"followed":             plain + "{}",
		"followed by a ring":   plain + plain,
		"unknown field":        replace(`"format":1`, `"format":1,"`+material[0]+`":1`),
		"no secrets":           replace(`"secrets":`, `"secrets":[],"x":`),
		"both lists empty":     `{"format":1,"secrets":[],"signers":[]}`,
		"secret twice":         replace(`"secrets":[`, `"secrets":[`+between(plain, `"secrets":[`, `}`)+`},`),
		"signer twice":         replace(`"signers":[`, `"signers":[`+between(plain, `"signers":[`, `}`)+`},`),
		"secret as number":     replace(`"`+material[0]+`"`, "7"),
		"secret padded":        replace(material[0], material[0]+"="),
		"secret with line end": replace(material[0], material[0][:9]+`\n`+material[0][9:]),
		"secret shorter":       replace(material[0], encode(ring.secrets[0].master[:31])),
		"secrets' ids swapped": replace(ring.secrets[0].id, ring.secrets[1].id),
		"secret's id":          replace(ring.secrets[0].id, "AAAAAAAAAAA"),
		"signer's id":          replace(ring.signers[0].kid, ring.signers[1].kid),
		"signer zero":          replace(material[2], encode(make([]byte, 32))),
		"signer too large":     replace(material[2], encode(bytes.Repeat([]byte{255}, 32))),
		"signer another":       replace(material[2], material[3]),
		"signer shorter":       replace(material[2], material[2][:40]),
		"time unreadable":      replace(`"created":"2026`, `"created":"`+material[0]),
		"time out of range":    replace(`"created":"2026-11-23T10:00:00Z"`, `"created":"9999-12-31T23:59:59-23:00"`),
		"time of signer":       replace(`"not_before":"2026-11-23T10:00:00Z"`, `"not_before":"9999-12-31T23:59:59-23:00"`),
	}
	short := newSecretKey(random(31), start)
	for name, held := range map[string]*keys{
		"short secret, right id": {secrets: []*secretKey{short}, signers: ring.signers},
		"secrets only":           {secrets: ring.secrets},
		"signers only":           {signers: ring.signers},
		"too many secrets":       {secrets: many(func() *secretKey { return freshSecret(start) }), signers: ring.signers},
		"too many signers":       {secrets: ring.secrets, signers: many(func() *signer { return freshSigner(start) })},
	} {
		cases[name] = (&Ring{held}).Marshal().Reveal()
	}
	for i := range len(plain) {
		if c := plain[i]; c != 'A' {
			cases[fmt.Sprintf("byte %d", i)] = plain[:i] + "A" + plain[i+1:]
		}
	}
	for name, changed := range cases {
		if changed == plain {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := Unmarshal(NewSecret(changed))
		if err == nil {
			t.Errorf("%s: the ring is taken", name)
			continue
		}
		if !strings.HasPrefix(err.Error(), "seal: read the key ring: ") {
			t.Errorf("%s: %q doesn't say what failed", name, err)
		}
		for _, m := range material {
			if strings.Contains(err.Error(), m) || strings.Contains(err.Error(), m[:9]) {
				t.Errorf("%s: the error shows a key", name)
			}
		}
	}
	if _, err := Unmarshal(NewSecret(replace(`"format":1`, `"format":2`))); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a later format: %v, want an error that names it", err)
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

func FuzzUnmarshal(f *testing.F) {
	ring, err := NewRing(start).Rotate(start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ring.Marshal().Reveal())
	f.Add(`{"format":1,"secrets":[{}],"signers":[{}]}`)
	f.Fuzz(func(t *testing.T, plain string) {
		ring, err := Unmarshal(NewSecret(plain))
		if err != nil {
			return
		}
		again, err := Unmarshal(ring.Marshal())
		if err != nil || !again.Marshal().Equal(ring.Marshal()) {
			t.Errorf("a ring that was read doesn't come back: %v", err)
		}
		if _, err := ring.Verify(mustSign(t, ring, start)); err != nil {
			t.Error(err)
		}
		if _, err := ring.Open("totp", nil, ring.Seal("totp", nil, nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoRotationsOfOneRingAreTwoRings(t *testing.T) {
	ring := NewRing(start)
	for range 5 { // the list may have spare capacity, and each try can have another
		one, other := mustRotate(t, ring, start), mustRotate(t, ring, start)
		newest, signer := one.Newest(), one.signers[len(one.signers)-1].kid
		if newest == other.Newest() || signer == other.signers[len(other.signers)-1].kid {
			t.Errorf("with %d secrets: one rotation has taken the place of the other", len(ring.secrets))
		}
		ring = one
	}
}

func TestARingThatIsFullOfOneSortOfKeyIsNotRotated(t *testing.T) {
	full := NewRing(start)
	for i := 1; i < maxKeys; i++ {
		full = mustRotate(t, full, start)
	}
	ofSigners, err := full.Forget(full.KeyIDs()[0], start.Add(SecretKept))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ring *Ring
		at   time.Time
	}{"of signing keys": {ofSigners, start}, "of secrets": {full, start.Add(1000 * time.Hour)}} {
		if secrets, signers := len(c.ring.secrets), len(c.ring.Drop(c.at).signers); (secrets == maxKeys) == (signers == maxKeys) {
			t.Fatalf("full %s: got %d secrets and %d signing keys", name, secrets, signers)
		}
		if _, err := c.ring.Rotate(c.at); err == nil {
			t.Errorf("a ring full %s was rotated", name)
		}
	}
}

// many returns one key more than a ring may have.
func many[K any](fresh func() K) (keys []K) {
	for range maxKeys + 1 {
		keys = append(keys, fresh())
	}
	return keys
}

func TestARingKeepsTheFormatOfRecordsAndTheEpochWhateverHappensToItsKeys(t *testing.T) {
	ring := NewRing(start)
	if format, epoch := ring.RecordFormat(), ring.Epoch(); format != 0 || epoch != 0 {
		t.Errorf("a new ring says format %d and epoch %d, want none", format, epoch)
	}
	second := ring.WithRecordFormat(2).WithEpoch(7)
	if ring.RecordFormat() != 0 || ring.Epoch() != 0 || second.Newest() != ring.Newest() {
		t.Error("the ring itself has changed, or the other one has other keys")
	}
	late := start.Add(100 * 24 * time.Hour)
	rotated := mustRotate(t, second, start)
	forgotten, err := rotated.Forget(ring.Newest(), late)
	if err != nil {
		t.Fatal(err)
	}
	read, err := Unmarshal(second.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Ring{"rotated": rotated, "dropped": rotated.Drop(late), "forgotten": forgotten, "read again": read} {
		if format, epoch := r.RecordFormat(), r.Epoch(); format != 2 || epoch != 7 {
			t.Errorf("%s: got format %d and epoch %d, want 2 and 7", name, format, epoch)
		}
	}
	for name, bad := range map[string]*Ring{"format": ring.WithRecordFormat(-1), "epoch": ring.WithEpoch(-1)} {
		if _, err := Unmarshal(bad.Marshal()); err == nil {
			t.Errorf("a negative %s is read", name)
		}
	}
}
