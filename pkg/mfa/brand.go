package mfa

import (
	"context"
	"net/url"
	"regexp"
	"strconv"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/text"
)

// A Brand is how an org looks to its users. The policy's item has it, because every step reads that, and steps that tell users
// something need the name.
type Brand struct {
	Name   *string `json:"name" record:"1"`   // by which users know the org, of 1 to 64 bytes; messages and authenticator apps show it; null: they show the client's name
	Colour *string `json:"colour" record:"2"` // of pages, as #rrggbb; null: the pages have their own
	Logo   *string `json:"logo" record:"3"`   // the https URL of an image for pages; null: they show none

	Version int `json:"-" record:"4"` // how often the brand was put
}

// A BrandChange replaces the whole brand of an org.
type BrandChange struct {
	Brand   Brand
	Version *int // the version that it replaces; nil is PreconditionRequired
}

var colour = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// The longest name and URL of a brand, in bytes.
const (
	mostBrandName = 64 // as the name of a client
	mostLogo      = 1024
)

func (b *Brand) check() error {
	if b.Name != nil && (*b.Name == "" || text.Check(*b.Name, mostBrandName) != "" || text.Line(*b.Name) != *b.Name) {
		return invalid("name", "The name must be one line of visible characters, of 1 to %d bytes, with single spaces between words.", mostBrandName)
	}
	if b.Colour != nil && !colour.MatchString(*b.Colour) {
		return invalid("colour", "The colour must be # and six hexadecimal digits, such as #1a2b3c.")
	}
	if b.Logo != nil && !goodLogo(*b.Logo) {
		return invalid("logo", "The logo must be an https URL of at most %d bytes, without a user.", mostLogo)
	}
	return nil
}

func goodLogo(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && len(raw) <= mostLogo && text.Check(raw, mostLogo) == "" && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// GetBrand returns the brand of an org. Each part of it is null until it is put.
func (s *Service) GetBrand(ctx context.Context, call Call, org string) (Brand, error) {
	if err := checkID("org", org); err != nil {
		return Brand{}, err
	}
	var p *orgPolicy
	return run(ctx, s, call, step[Brand]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: org,
		reads:  []read{readPolicy(routeOf(org, ""), org, &p)},
		decide: func(*unit) (Brand, error) { return p.Brand, nil },
	})
}

// PutBrand replaces the brand of an org. It returns VersionMismatch if the brand has another version by now.
func (s *Service) PutBrand(ctx context.Context, call Call, org string, change BrandChange) (Brand, error) {
	if err := checkID("org", org); err != nil {
		return Brand{}, err
	}
	if err := change.Brand.check(); err != nil {
		return Brand{}, err
	}
	var p *orgPolicy
	r := routeOf(org, "")
	return run(ctx, s, call, step[Brand]{
		scope: apikey.Admin, portal: byAdministrator, org: org,
		reads: []read{readPolicy(r, org, &p)},
		decide: func(u *unit) (Brand, error) {
			switch {
			case change.Version == nil:
				return Brand{}, refuse(PreconditionRequired, "The header If-Match is required: it says which version of the brand this one replaces.")
			case *change.Version != p.Brand.Version:
				return Brand{}, refuse(VersionMismatch, "The brand is at version "+strconv.Itoa(p.Brand.Version)+".")
			}
			change.Brand.Version = p.Brand.Version + 1
			p.Brand = change.Brand
			u.putCopies(policyKey(r), p.Item.Version, p)
			u.seeOrg(r, org, p)
			u.event(pendingEvent{Event: activity.Event{Type: PolicyChanged, Org: org, PolicyVersion: p.Version, Data: map[string]any{"changed": []string{"brand"}}}})
			return p.Brand, nil
		},
	})
}

// known returns the name by which users know who sends them something: the org's own, or else that of the client.
func (p *orgPolicy) known(client string) string {
	if p.Brand.Name != nil {
		return *p.Brand.Name
	}
	return client
}
