package mfa

import (
	"context"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A pageLink is the handle of the link to the hosted page of a challenge: the bearer that the handle stands for. The challenge's own
// item has it, so a start writes no item more because of it. The handle carries the id of the challenge, which finds the item, and only
// the handle opens the bearer.
type pageLink struct {
	Token      []byte        `json:"token" record:"1,secret"` // the random part of the bearer, sealed under the handle; empty once it was redeemed
	Ends       time.Time     `json:"ends" record:"2"`         // of the handle
	RedeemedBy store.Version `json:"redeemed_by" record:"3,word"`
}

// linkFor is how long the link to a hosted page is good.
const linkFor = 10 * time.Minute

// linked is the kind of bearer that the link of the challenge stands for, and its prefix.
func (ch *challenge) linked() (kind, prefix string) {
	if ch.Enrolment != "" {
		return EnrolmentToken, seal.EnrolmentToken
	}
	return ChallengeToken, seal.ChallengeToken
}

// newHandle makes the handle of a link to the hosted page of the challenge with that id.
func (u *unit) newHandle(id string) seal.Secret { return u.newToken(seal.Handle, id) }

// linkTo makes handle stand for bearer, which is the token of ch, and returns the address of the hosted page.
func (u *unit) linkTo(ch *challenge, handle, bearer seal.Secret) *seal.Secret {
	kind, prefix := ch.linked()
	random := seal.Random(prefix, bearer.Reveal(), challengeIDLen)
	ch.Link = &pageLink{Ends: u.now.Add(linkFor), Token: seal.SealUnder(handle, "handle", []string{kind}, random)}
	return u.s.pageOf(kind, handle)
}

// pageOf returns the address of the hosted page that takes a handle of that kind. Its first part is always the deployment's own
// base URL, whatever a request says about hosts.
func (s *Service) pageOf(kind string, handle seal.Secret) *seal.Secret {
	address := seal.NewSecret(s.Issuer + "/pages/" + kind + "/" + handle.Reveal())
	return &address
}

// redeemLink gives the bearer that the link of a challenge stands for, once.
func (s *Service) redeemLink(ctx context.Context, call Call, text seal.Secret, carried []byte) (Redeemed, error) {
	id := challengeID(carried)
	var ch *challenge
	var token seal.Secret // the same in all tries
	return run(ctx, s, call, step[Redeemed]{
		bearer: seal.Handle, reads: []read{readChallenge(id, &ch)},
		decide: func(u *unit) (Redeemed, error) {
			link := ch.Link
			kind, prefix := ch.linked()
			if ch.Item.Absent() || link == nil || !u.now.Before(ch.Expires) {
				return Redeemed{}, noHandle()
			}
			if !u.wrote(link.RedeemedBy) {
				if len(link.Token) == 0 || !u.now.Before(link.Ends) {
					return Redeemed{}, noHandle()
				}
				random, err := seal.OpenUnder(text, "handle", []string{kind}, link.Token)
				if err != nil {
					return Redeemed{}, noHandle() // a handle of an earlier link of this challenge
				}
				token = u.filter.Again(prefix, carried, random)
				link.Token, link.RedeemedBy = nil, u.version
				u.put(ch.Item, ch, ch.Expires.Add(shownFor))
			}
			return Redeemed{Kind: kind, ID: id, Token: &token, Expires: ch.Expires}, nil
		},
	})
}
