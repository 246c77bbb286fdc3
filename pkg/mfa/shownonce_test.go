package mfa_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// What is shown only once is repeated for ten minutes and then left out of remembered answers. This applies to every secret
// of an answer except the result token, which is valid for only two minutes. A new secret of an answer must be left out too,
// or be listed here.
func TestALaterAnswerHoldsNothingThatIsShownOnce(t *testing.T) {
	for _, c := range []struct {
		answer interface{ WithoutShownOnce() any }
		kept   []string
	}{
		{&mfa.StartAnswer{}, []string{"Token"}},
		{&mfa.VerifyAnswer{}, []string{"Token"}},
		{&mfa.RecoverAnswer{}, []string{"Token"}},
		{&mfa.RecoveryCodes{}, nil},
		{&mfa.EnrolAnswer{}, nil},
		{&mfa.FinishAnswer{}, []string{"Token"}},
	} {
		whole := reflect.ValueOf(c.answer).Elem()
		name := whole.Type().Name()
		filled(whole)
		before := secretsIn(whole, "")
		if len(before) <= len(c.kept) {
			t.Errorf("%s: got secrets %v, want some that are shown once", name, before)
		}
		later := reflect.ValueOf(whole.Interface().(interface{ WithoutShownOnce() any }).WithoutShownOnce())
		if got := secretsIn(later, ""); !slices.Equal(got, c.kept) {
			t.Errorf("%s: got %v in the later answer, want %v", name, got, c.kept)
		}
		if got := secretsIn(whole, ""); !slices.Equal(got, before) {
			t.Errorf("%s: got %v in the answer itself, want it left as it was: %v", name, got, before)
		}
	}
}

var secretType = reflect.TypeFor[seal.Secret]()

// filled sets every field, at every depth.
func filled(v reflect.Value) {
	switch {
	case v.Type() == secretType:
		v.Set(reflect.ValueOf(seal.NewSecret("secret")))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				filled(v.Field(i))
			}
		}
	case v.Kind() == reflect.String:
		v.SetString("text")
	}
}

// secretsIn returns the paths of the fields that hold a secret.
func secretsIn(v reflect.Value, path string) (paths []string) {
	switch {
	case v.Type() == secretType:
		if !v.Interface().(seal.Secret).IsZero() {
			return []string{path}
		}
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			return secretsIn(v.Elem(), path)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			paths = append(paths, secretsIn(v.Index(i), path)...)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				name := field.Name
				if path != "" {
					name = path + "." + name
				}
				paths = append(paths, secretsIn(v.Field(i), name)...)
			}
		}
	}
	return paths
}
