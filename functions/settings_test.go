package functions

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

// When a function starts, it logs the name of each setting that is missing or malformed. So if every setting is malformed, it
// logs the names of all settings that it reads.
func TestEveryFunctionFindsTheSettingsItReads(t *testing.T) {
	known := settings(t)
	deployed, functions := readTemplate(t)
	global, _ := template.Of(deployed.Globals.Function, "Environment", "Variables").(object)
	readBySome := map[string]bool{}
	for step, f := range functions {
		var malformed []string
		for _, name := range known {
			malformed = append(malformed, name+"=\x01")
		}
		read := complaints(t, step, malformed)
		// A function that sends text messages reads the settings of one provider.
		for _, provider := range []string{"sns", "end-user-messaging"} {
			if slices.Contains(read, smsProvider) {
				read = append(read, complaints(t, step, append(malformed, smsProvider+"="+provider))...)
			}
		}
		for _, name := range read {
			readBySome[name] = true
			if f.Environment[name] == nil && !givenElsewhere(name) {
				t.Errorf("%s: reads %s, which template.yaml doesn't give it", step, name)
			}
		}
		for name, value := range f.Environment {
			_, shared := global[name]
			switch {
			case givenElsewhere(name):
				t.Errorf("%s: is given %s, which is for playing on one machine, or Lambda's", step, name)
			case strings.HasPrefix(name, "GO"): // a setting of Go's runtime, which no function reads itself
			case strings.HasSuffix(name, "_ENDPOINT") && name != useFIPS && value != "":
				t.Errorf("%s: is deployed with %s pointed to %v", step, name, value)
			case !shared && !slices.Contains(read, name):
				t.Errorf("%s: is given %s, and doesn't read it", step, name)
			}
		}
	}
	for _, name := range known {
		if !readBySome[name] {
			t.Errorf("%s: known to pkg/cloud, but read by no function", name)
		}
	}
	for name := range global {
		if !readBySome[name] && !strings.HasPrefix(name, "GO") {
			t.Errorf("%s: given to all functions, but read by none", name)
		}
	}
}

func TestTheCollectorLeavesRoomBelowTheMemoryThatLambdaGives(t *testing.T) {
	_, functions := readTemplate(t)
	for step, f := range functions {
		var limit int
		if n, err := fmt.Sscanf(fmt.Sprint(f.Environment["GOMEMLIMIT"]), "%dMiB", &limit); n != 1 || err != nil {
			t.Errorf("%s: GOMEMLIMIT is %v, want a number of MiB", step, f.Environment["GOMEMLIMIT"])
		}
		if least, most := f.Memory/2, f.Memory*4/5; limit < least || limit > most {
			t.Errorf("%s: Go may have %d MiB of %d, want %d to %d", step, limit, f.Memory, least, most)
		}
	}
}

const (
	clockOffset = "COUNTERSIGN_CLOCK_OFFSET" // a function gets it only where a deployment is simulated on one machine
	smsProvider = "COUNTERSIGN_SMS_PROVIDER"
	useFIPS     = "AWS_USE_FIPS_ENDPOINT" // the template gives it, under the name that the SDK has for it
)

// givenElsewhere reports whether a function gets a setting from Lambda, or from what simulates a deployment, and not from the
// template.
func givenElsewhere(name string) bool {
	return name == clockOffset || strings.HasPrefix(name, "AWS_") && name != useFIPS
}

// settings returns the names of all settings that pkg/cloud mentions.
func settings(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, path := range append(matching(t, "../pkg/cloud/*.go", filepath.ToSlash), matching(t, "../pkg/cloud/*/*.go", filepath.ToSlash)...) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(COUNTERSIGN_[A-Z_]+[A-Z]|`+useFIPS+`)\b`).FindAllString(string(source), -1) {
			found[name] = true
		}
	}
	if len(found) == 0 {
		t.Fatal("pkg/cloud reads no settings")
	}
	return slices.Sorted(maps.Keys(found))
}

// complaints returns the names of the settings that a function finds missing or malformed in an environment.
func complaints(t *testing.T, step string, environment []string) []string {
	t.Helper()
	r := launch(t, step, environment)
	r.Kill() // when the process has ended, its whole log has arrived
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`"setting":"(\w+)"`).FindAllStringSubmatch(r.log.String(), -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}
