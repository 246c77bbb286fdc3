package cloud

import "testing"

func TestRelatedOriginsHaveAtMostFiveNamesOfDomains(t *testing.T) {
	for list, want := range map[string]bool{
		"https://acme.example": true, "https://login.acme.example:8443": true, "https://acme.example,https://acme.co.uk,https://acme.fr": true,
		"https://a.example,https://b.example,https://c.example,https://d.example,https://e.example":                   true,
		"https://a.example,https://b.example,https://c.example,https://d.example,https://e.example,https://f.example": false,
		"https://a.example,https://b.example,https://c.example,https://d.example,https://e.example,https://e.co.uk":   true,
		"http://acme.example": false, "https://acme.example/": false, "acme.example": false, "https://acme.example,": false, "https://co.uk": false,
		"https://user@acme.example": false, "https://acme.example?x": false, "https://Acme.example": false, "https://localhost": false,
	} {
		if got := relatedOrigins(list); got != want {
			t.Errorf("%s: got %v, want %v", list, got, want)
		}
	}
}
