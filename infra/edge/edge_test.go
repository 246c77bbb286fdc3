// Package edge tests the template of CloudFront and its WAF in front of a deployment.
package edge

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

// The edge is deployed by itself, so nothing but its text can be compared with what the functions expect.
func TestTheEdgeShowsItselfAsTheFunctionsExpect(t *testing.T) {
	text, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"the header with the secret":               "{HeaderName: Countersign-Edge, HeaderValue: !Ref EdgeSecret}",
		"a secret that nobody can read":            "NoEcho: true",
		"the WAF":                                  "WebACLId: !GetAtt Firewall.Arn",
		"no answers from a cache, as the default":  "CachePolicyId: 4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
		"all headers of the caller, but the Host":  "OriginRequestPolicyId: b689b0a8-53d0-40ab-baf2-68738e2966ac",
		"nothing but TLS between viewer and edge":  "ViewerProtocolPolicy: https-only",
		"nothing but TLS between the edge and API": "OriginProtocolPolicy: https-only",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("infra/edge/template.yaml has no %q, which is %s", want, what)
		}
	}
	wait := regexp.MustCompile(`OriginReadTimeout: (\d+)`).FindSubmatch(text)
	if wait == nil || string(wait[1]) != "30" {
		t.Errorf("got a wait for %s, want 30 seconds, which is as long as an HTTP API waits", wait)
	}
	deployed, err := template.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := deployed.Outputs["ApiHost"]["Value"], "${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}"; got != want {
		t.Errorf("got the output ApiHost %v, want %s: the edge calls it", got, want)
	}
}
