package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A handle is what a link carries in place of a bearer. It is good once, for a call that gives the bearer in exchange. The table has
// the bearer sealed under the handle itself, and the handle only as a hash. So neither who reads the table nor who sees a link
// that was used has the bearer. A GET of a link redeems nothing, because mail programs open links by themselves.

// The kinds of bearer that a handle can stand for.
const (
	CancelToken    = "cancel"    // cancels one request for a reset
	ChallengeToken = "challenge" // answers one challenge
	EnrolmentToken = "enrolment" // enrols a factor, which answers one challenge
)

// A Redeemed is the bearer that a handle stood for.
type Redeemed struct {
	Kind    string       `json:"kind"`
	ID      string       `json:"id,omitempty"` // what the bearer is good for: the id of a challenge, or of a request for a reset
	Token   *seal.Secret `json:"token,omitempty"`
	Expires time.Time    `json:"expires"` // of the bearer
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a Redeemed) WithoutShownOnce() any {
	a.Token = nil
	return a
}

// putHandle plans the item of a new handle that stands for a bearer of that kind, and returns the handle. expires is when the bearer
// ends.
func (u *unit) putHandle(filter *seal.Filter, kind string, token seal.Secret, ends, expires time.Time) seal.Secret {
	text := filter.NewBearer(seal.Handle, nil)
	u.put(store.Item{Key: handleKey(text)}, &handle{
		Kind: kind, Ends: ends, Expires: expires, Token: seal.SealUnder(text, "handle", []string{kind}, []byte(token.Reveal())),
	}, ends)
	return text
}

// open returns the bearer that a handle stands for. It returns NotFound for one that was redeemed, or that has ended.
func (h *handle) open(text seal.Secret, now time.Time) (seal.Secret, error) {
	if h.Item.Absent() || len(h.Token) == 0 || !now.Before(h.Ends) {
		return seal.Secret{}, noHandle()
	}
	token, err := seal.OpenUnder(text, "handle", []string{h.Kind}, h.Token)
	return seal.NewSecret(string(token)), err
}

// RedeemHandle gives the bearer that a handle stands for, once. It returns NotFound for a handle that was made elsewhere, that was
// redeemed, or that has ended.
func (s *Service) RedeemHandle(ctx context.Context, call Call, text seal.Secret) (Redeemed, error) {
	carried, err := s.made(ctx, text)
	if err != nil {
		return Redeemed{}, err
	}
	call.Bearer = text.Reveal()
	if len(carried) > 0 {
		return s.redeemLink(ctx, call, text, carried)
	}
	var h handle
	var token seal.Secret // the same in all tries
	return run(ctx, s, call, step[Redeemed]{
		bearer: seal.Handle, reads: []read{readHandle(text, &h)},
		decide: func(u *unit) (Redeemed, error) {
			if h.Item.Absent() || !u.wrote(h.RedeemedBy) {
				opened, err := h.open(text, u.now)
				if err != nil {
					return Redeemed{}, err
				}
				token = opened
				h.Token, h.RedeemedBy = nil, u.version
				u.put(h.Item, &h, h.Ends)
			}
			return Redeemed{Kind: h.Kind, ID: resetOf(h.Kind, token), Token: &token, Expires: later(h.Ends, h.Expires)}, nil
		},
	})
}

// wrote reports whether version is that of an earlier try of this call, which was committed and whose answer was lost.
func (u *unit) wrote(version store.Version) bool { return slices.Contains(u.versions, version) }

// resetOf returns the id of the request for a reset that a token of that kind cancels. It is empty for another kind.
func resetOf(kind string, token seal.Secret) string {
	carried, ok := seal.ParseBearer(seal.CancelToken, token.Reveal(), challengeIDLen)
	if kind != CancelToken || !ok {
		return ""
	}
	return resetID(carried)
}

// made returns NotFound for a handle that was not made here, before anything is read. carried is the id of a challenge, or is
// empty.
func (s *Service) made(ctx context.Context, text seal.Secret) (carried []byte, err error) {
	filter, err := s.filter(ctx)
	if err != nil {
		return nil, AsError(err)
	}
	for _, length := range carriedBy(seal.Handle) {
		if carried, ok := filter.Recognise(seal.Handle, text.Reveal(), length); ok {
			return carried, nil
		}
	}
	return nil, noHandle()
}

// filter returns the filter that recognises bearers.
func (s *Service) filter(ctx context.Context) (*seal.Filter, error) {
	keeper := s.Filter
	if keeper == nil {
		keeper = &apikey.FilterKeeper{Store: s.Store}
	}
	return keeper.Filter(ctx)
}

func noHandle() *Error {
	return refuse(NotFound, "There is no such handle, or it was used already.")
}

func readHandle(text seal.Secret, into *handle) read {
	return read{key: handleKey(text), take: func(item store.Item) error {
		*into = handle{}
		if item.Absent() {
			return nil
		}
		return record.Decode(item, into)
	}}
}

// A handle is the record of a handle.
type handle struct {
	record.Head
	Kind       string        `json:"kind" record:"1"`
	Token      []byte        `json:"token" record:"2,secret"` // the bearer, sealed under the handle; empty once it was redeemed
	Ends       time.Time     `json:"ends" record:"3"`
	RedeemedBy store.Version `json:"redeemed_by" record:"4,word"`
	Expires    time.Time     `json:"expires" record:"5"` // of the bearer; zero in a handle that ends with it
}

func handleKey(text seal.Secret) store.Key {
	return store.Key{Partition: "handle#" + seal.HashBearer(text.Reveal()), Sort: "handle"}
}

// A cancelToken is the record of a bearer that cancels a request for a reset. That it is there says that the bearer is good.
type cancelToken struct {
	record.Head
	Of string `json:"of" record:"1,id=rs_"` // the request
}

func cancelTokenKey(bearer string) store.Key {
	return store.Key{Partition: "handle#" + seal.HashBearer(bearer), Sort: "cancel"}
}
