package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

func TestTheFilesOfAnAdoptionAgreeWithTheTemplate(t *testing.T) {
	o := newOperator()
	folder := filepath.Join(t.TempDir(), "adopt")
	const key = "1234abcd-12ab-34cd-56ef-1234567890ab"
	args := func(key, bucket, stack string) []string {
		return []string{"adopt", "--table", "countersign-Table-1", "--region", "eu-west-1", "--key", key, "--bucket", bucket, "--stack", stack, folder}
	}
	for _, bad := range [][]string{args("key", "bucket-1", "new"), args(key, "B", "new"), args(key, "bucket-1", "a b")} {
		if code := o.run(t, bad...); code != 2 {
			t.Errorf("%q: got %d, want 2", bad, code)
		}
	}
	o.must(t, args("arn:aws:kms:eu-west-1:123456789012:key/"+key, "bucket-1", "new")...)
	if !strings.Contains(o.said, "--change-set-type IMPORT") || !strings.Contains(o.said, "--stack-name new") {
		t.Errorf("got\n%swant the commands of the import", o.said)
	}
	var list []struct {
		ResourceType, LogicalResourceId string
		ResourceIdentifier              map[string]string
	}
	read := func(name string, into any) {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read("resources-to-import.json", &list)
	if got, want := fmt.Sprint(list), "[{AWS::DynamoDB::Table Table map[TableName:countersign-Table-1]} {AWS::KMS::Key Key map[KeyId:"+key+"]} {AWS::S3::Bucket PublishFailures map[BucketName:bucket-1]}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var made struct {
		Resources map[string]struct {
			Type, DeletionPolicy, UpdateReplacePolicy string
			Properties                                map[string]any
		}
	}
	read("template.json", &made)
	ours, err := template.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for id, resource := range ours.Resources {
		r := made.Resources[id]
		if resource.Attributes["DeletionPolicy"] != "RetainExceptOnCreate" {
			continue
		}
		kept++
		if r.Type != resource.Type || r.DeletionPolicy != "Retain" || r.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s: got %+v, want it imported", id, r)
		}
		want := resource.Properties
		for name, value := range want {
			if id == "Key" && (name == "KeyPolicy" || name == "Description") {
				continue // the deployment sets them
			}
			if got, want := jsonOf(t, r.Properties[name]), jsonOf(t, value); got != want {
				t.Errorf("%s.%s: got %s, want %s", id, name, got, want)
			}
		}
		for name := range r.Properties {
			if want[name] == nil {
				t.Errorf("%s.%s is not in the template", id, name)
			}
		}
	}
	if kept != 3 || len(made.Resources) != 3 {
		t.Errorf("got %d resources for %d that stay, want 3", len(made.Resources), kept)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
