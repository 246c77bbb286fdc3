package functions

import (
	"bytes"
	"debug/elf"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// operatorsCommands returns the first block of commands in a part of operating.md.
func operatorsCommands(t *testing.T, part string) string {
	t.Helper()
	text, err := os.ReadFile("../.github/docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+part+"\n")
	_, rest, opened := strings.Cut(rest, "\n```sh\n")
	commands, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !opened || !closed || strings.Contains(commands, "\n## ") {
		t.Fatalf("operating.md has no commands in its part %q", part)
	}
	return commands
}

// A cloud stands in for the part of AWS that "sam deploy" calls before anything is made: a bucket that takes uploads, and a
// CloudFormation that notes each change set it is asked for, and refuses to make it.
type cloud struct {
	mu       sync.Mutex
	uploaded int
	changes  []url.Values
}

// ServeHTTP implements http.Handler.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPut:
		if !r.URL.Query().Has("partNumber") {
			c.uploaded++
		}
		w.Header().Set("ETag", `"1"`)
	case r.URL.Query().Has("uploads"): // a file of more than 8 MB comes in parts
		io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
	case r.URL.Query().Has("uploadId"):
		c.uploaded++
		io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>`)
	default:
		asked, _ := url.ParseQuery(string(body))
		c.answer(w, asked)
	}
}

// seen returns how many files were uploaded, and which change sets were asked for.
func (c *cloud) seen() (uploaded int, changes []url.Values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uploaded, slices.Clone(c.changes)
}

// lastChange returns the change set that was asked for last.
func (d *deployer) lastChange() url.Values {
	d.t.Helper()
	_, changes := d.aws.seen()
	if len(changes) == 0 {
		d.t.Fatal("CloudFormation was asked for no change")
	}
	return changes[len(changes)-1]
}

// answer speaks the AWS query protocol. https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func (c *cloud) answer(w http.ResponseWriter, asked url.Values) {
	stack := asked.Get("StackName")
	switch action := asked.Get("Action"); {
	case action == "DescribeStacks" && stack == "aws-sam-cli-managed-default":
		io.WriteString(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>aws-sam-cli-managed-default</StackName>
			<StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-30T00:00:00Z</CreationTime>
			<Tags><member><Key>ManagedStackSource</Key><Value>AwsSamCli</Value></member></Tags>
			<Outputs><member><OutputKey>SourceBucket</OutputKey><OutputValue>uploads</OutputValue></member></Outputs>
			</member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	case action == "DescribeStacks":
		refuseQuery(w, "ValidationError", "Stack with id "+stack+" does not exist")
	default:
		if action == "CreateChangeSet" {
			c.changes = append(c.changes, asked)
		}
		refuseQuery(w, "AccessDenied", "This test refuses "+action)
	}
}

func refuseQuery(w http.ResponseWriter, code, message string) {
	var text bytes.Buffer
	xml.EscapeText(&text, []byte(message))
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, text.String())
}

// A deployer is somebody who has cloned the project and types the commands of operating.md. They have the SAM CLI of
// infra/sam-lint, and an AWS CLI that prints credentials.
type deployer struct {
	t           *testing.T
	root        string
	environment []string
	aws         *cloud
}

func newDeployer(t *testing.T) *deployer {
	t.Helper()
	d := &deployer{t: t, root: checkout(t), aws: &cloud{}}
	server := httptest.NewServer(d.aws)
	t.Cleanup(server.Close)
	bin := t.TempDir()
	if err := os.Symlink(filepath.Join(samFolder(t), "bin", "sam"), filepath.Join(bin, "sam")); err != nil {
		t.Fatal(err)
	}
	hands := "#!/bin/sh\n[ \"$*\" = 'configure export-credentials --format env' ] || exit 2\necho export AWS_ACCESS_KEY_ID=example\necho export AWS_SECRET_ACCESS_KEY=example\n"
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(hands), 0o700); err != nil {
		t.Fatal(err)
	}
	d.environment = append(samEnvironment(t), "AWS_ENDPOINT_URL="+server.URL, "AWS_MAX_ATTEMPTS=1", "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return d
}

// types runs commands until one of them fails, and returns what they have printed.
func (d *deployer) types(commands string) (said string, err error) {
	d.t.Helper()
	shell := exec.CommandContext(d.t.Context(), "bash", "-euc", commands)
	shell.Dir, shell.Env = d.root, d.environment
	out, err := shell.CombinedOutput()
	return string(out), err
}

// parameters returns the parameters of the change set that was asked for last.
func (d *deployer) parameters() map[string]string {
	d.t.Helper()
	asked, found := d.lastChange(), map[string]string{}
	for i := 1; asked.Has(fmt.Sprintf("Parameters.member.%d.ParameterKey", i)); i++ {
		found[asked.Get(fmt.Sprintf("Parameters.member.%d.ParameterKey", i))] = asked.Get(fmt.Sprintf("Parameters.member.%d.ParameterValue", i))
	}
	return found
}

func (d *deployer) want(stack string, parameters map[string]string) {
	d.t.Helper()
	got := d.parameters()
	for name, value := range parameters {
		if got[name] != value {
			d.t.Errorf("%s: %s is %q, want %q", stack, name, got[name], value)
		}
	}
	asked := d.lastChange()
	if asked.Get("StackName") != stack || asked.Get("Capabilities.member.1") != "CAPABILITY_IAM" || asked.Has("Capabilities.member.2") {
		d.t.Errorf("got stack %s with %s, want %s with CAPABILITY_IAM alone", asked.Get("StackName"), asked.Get("Capabilities.member.1"), stack)
	}
}

func TestTheOperatorsCommandsDeployUpToWhereAWSIsNeeded(t *testing.T) {
	before, after, found := strings.Cut(operatorsCommands(t, "Deploy"), "\nTABLE=")
	if !found {
		t.Fatal("operating.md doesn't say which table the deployment has made")
	}
	d := newDeployer(t)
	said, err := d.types("sam deploy --config-env dev")
	if _, changes := d.aws.seen(); err == nil || !strings.Contains(said, "parameters.dev.yaml") || len(changes) > 0 {
		t.Errorf("without the owner's parameters: got %v, want them asked for\n%s", err, said)
	}
	said, err = d.types(before)
	if err == nil || !strings.Contains(said, "This test refuses CreateChangeSet") {
		t.Fatalf("got %v, want the deployment tried\n%s", err, said)
	}
	_, functions := readTemplate(t)
	if uploaded, _ := d.aws.seen(); uploaded < len(functions) {
		t.Errorf("%d files were uploaded, want one for each of %d functions", uploaded, len(functions))
	}
	d.want("countersign-dev", map[string]string{
		"Stage": "dev", "SenderAddress": "you@example.com", "ReserveConcurrency": "no", "LogRetentionDays": "7",
	})
	d.builtFor(elf.EM_AARCH64)
	if out, err := d.types("git init -q . && git check-ignore parameters.dev.yaml parameters.prod.yaml"); err != nil {
		t.Errorf("git would commit the owner's parameters: %v %s", err, out)
	}

	// The values of the owner's file replace those of samconfig.toml, in the build too.
	owners := "SenderAddress: sign-in@example.com\nSenderName: Acme & Sons\nReserveConcurrency: \"yes\"\nRoutineEvents: \"true\"\n" +
		"Issuer: https://mfa.example.com\nLogRetentionDays: 365\nArchitecture: x86_64\n"
	if err := os.WriteFile(filepath.Join(d.root, "parameters.prod.yaml"), []byte(owners), 0o600); err != nil {
		t.Fatal(err)
	}
	prod := strings.NewReplacer("sam build --config-env dev", "sam build --config-env prod VerifyFunction", "--config-env dev", "--config-env prod")
	said, _ = d.types(prod.Replace(before))
	if !strings.Contains(said, "This test refuses CreateChangeSet") {
		t.Fatalf("prod isn't tried:\n%s", said)
	}
	d.want("countersign-prod", map[string]string{
		"Stage": "prod", "SenderAddress": "sign-in@example.com", "SenderName": "Acme & Sons", "ReserveConcurrency": "yes",
		"Deployment": "Canary10Percent15Minutes", "RoutineEvents": "true", "Issuer": "https://mfa.example.com", "LogRetentionDays": "365", "Architecture": "x86_64",
	})
	d.builtFor(elf.EM_X86_64)

	// Of the other commands only those of ctl can be tried: ctl accepts the flags, and asks for credentials.
	tried := 0
	for line := range strings.SplitSeq(strings.ReplaceAll("TABLE="+after, "\\\n", " "), "\n") {
		_, command, isCtl := strings.Cut(line, "go run ./infra/ctl ")
		if !isCtl {
			continue
		}
		tried++
		command, _, _ = strings.Cut(command, " #")
		said, err := d.types("export AWS_REGION=eu-central-1; TABLE=countersign-dev SENDER=you@example.com; go run ./infra/ctl " + strings.TrimSuffix(command, ")"))
		if err == nil || !strings.Contains(said, "export-credentials") {
			t.Errorf("ctl %s: got %v, want credentials asked for\n%s", command, err, said)
		}
	}
	if tried != 2 {
		t.Errorf("%d commands of ctl were tried, want 2", tried)
	}
}

// builtFor checks that the last build is for one kind of processor, and needs no libraries.
func (d *deployer) builtFor(machine elf.Machine) {
	d.t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.root, ".aws-sam", "build", "*", "bootstrap"))
	if err != nil || len(paths) == 0 {
		d.t.Fatalf("nothing is built: %v", err)
	}
	for _, path := range paths {
		program, err := elf.Open(path)
		if err != nil {
			d.t.Fatal(err)
		}
		linked, _ := program.ImportedLibraries()
		if program.Machine != machine || len(linked) > 0 {
			d.t.Errorf("%s is for %s and needs %q, want %s and nothing", path, program.Machine, linked, machine)
		}
		program.Close()
	}
}
