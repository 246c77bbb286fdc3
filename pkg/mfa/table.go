package mfa

import (
	"encoding/base64"
	"fmt"

	"countersign/pkg/store"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func userPartition(r route) string { return "u#" + b64(string(r)) }

func orgPartition(r route) string { return "org#" + b64(string(r[:16])) }

func guardKey(r route) store.Key { return store.Key{Partition: userPartition(r), Sort: "guard"} }

func browserKey(r route, id string) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "browser#" + id}
}

func factorKey(r route, id string) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "factor#" + id}
}

func enrolmentKey(r route) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "enrolment"}
}

func challengeKey(id string) store.Key { return store.Key{Partition: id, Sort: "challenge"} }

func policyKey(r route) store.Key { return store.Key{Partition: orgPartition(r), Sort: "policy"} }

func policyVersionKey(r route, version int) store.Key {
	return store.Key{Partition: orgPartition(r), Sort: fmt.Sprintf("policy#%010d", version)}
}
