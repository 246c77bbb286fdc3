package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

type adoptTable struct {
	Key    string `required:"" placeholder:"KEY" help:"The id or ARN of the KMS key. The output KeyArn of the deleted stack had it."`
	Bucket string `required:"" placeholder:"BUCKET" help:"The bucket of failures. The output PublishFailuresBucket of the deleted stack had it."`
	Stack  string `required:"" placeholder:"STACK" help:"The name of the new stack."`
	Folder string `arg:"" help:"The folder for the two files that CloudFormation needs. It is made if it doesn't exist."`
}

var (
	keyID      = regexp.MustCompile(`(?:^|:key/)([0-9a-f-]{36}|mrk-[0-9a-f]{32})$`)
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	stackName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
)

// An adopted describes a resource that a deleted stack has left, in the way in which CloudFormation imports it.
type adopted struct {
	LogicalID   string         // in template.yaml
	Type        string         //
	Identifying string         // the property by which the resource is found
	Properties  map[string]any // as template.yaml has them, so that the next deployment has nothing to change in them
}

// adoptedResources returns the resources that the template keeps when a stack is deleted. The policy of the key is left out,
// because it names roles that don't exist before the next deployment. That deployment sets the policy.
func adoptedResources() []adopted {
	type object = map[string]any
	return []adopted{
		{"Table", "AWS::DynamoDB::Table", "TableName", object{
			"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": true,
			"AttributeDefinitions": []any{
				object{"AttributeName": "pk", "AttributeType": "S"}, object{"AttributeName": "sk", "AttributeType": "S"},
			},
			"KeySchema": []any{
				object{"AttributeName": "pk", "KeyType": "HASH"}, object{"AttributeName": "sk", "KeyType": "RANGE"},
			},
			"TimeToLiveSpecification":          object{"AttributeName": "x", "Enabled": true},
			"PointInTimeRecoverySpecification": object{"PointInTimeRecoveryEnabled": true},
			"SSESpecification":                 object{"SSEEnabled": true},
			"StreamSpecification":              object{"StreamViewType": "NEW_IMAGE"},
		}},
		{"Key", "AWS::KMS::Key", "KeyId", object{"EnableKeyRotation": true, "PendingWindowInDays": 30}},
		{"PublishFailures", "AWS::S3::Bucket", "BucketName", object{
			"BucketEncryption": object{"ServerSideEncryptionConfiguration": []any{
				object{"ServerSideEncryptionByDefault": object{"SSEAlgorithm": "AES256"}},
			}},
			"NotificationConfiguration": object{"EventBridgeConfiguration": object{"EventBridgeEnabled": true}},
			"OwnershipControls":         object{"Rules": []any{object{"ObjectOwnership": "BucketOwnerEnforced"}}},
			"PublicAccessBlockConfiguration": object{
				"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
			},
			"LifecycleConfiguration": object{"Rules": []any{object{
				"Id": "Forget", "Status": "Enabled", "ExpirationInDays": 30, "AbortIncompleteMultipartUpload": object{"DaysAfterInitiation": 1},
			}}},
		}},
	}
}

// Run writes the template of an import and the list of what it imports, and prints what to do with them.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html
func (c *adoptTable) Run(p *program, where place) error {
	key := keyID.FindStringSubmatch(c.Key)
	switch {
	case where.Local != "":
		return wrongCall("a local server's folder has no stack")
	case key == nil:
		return wrongCall("--key must be the id or the ARN of a KMS key")
	case !bucketName.MatchString(c.Bucket):
		return wrongCall("--bucket must be the name of a bucket")
	case !stackName.MatchString(c.Stack):
		return wrongCall("--stack must be a name of a stack: letters, digits and -, with a letter first")
	}
	ids := map[string]string{"TableName": where.Table, "KeyId": key[1], "BucketName": c.Bucket}
	resources := map[string]any{}
	var list []any
	for _, r := range adoptedResources() {
		resources[r.LogicalID] = map[string]any{
			"Type": r.Type, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": r.Properties,
		}
		list = append(list, map[string]any{
			"ResourceType": r.Type, "LogicalResourceId": r.LogicalID, "ResourceIdentifier": map[string]string{r.Identifying: ids[r.Identifying]},
		})
	}
	template := map[string]any{"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return err
	}
	for name, content := range map[string]any{"template.json": template, "resources-to-import.json": list} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Folder, name), append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	region := ""
	if where.Region != "" {
		region = " --region " + where.Region
	}
	stack := region + " --stack-name " + c.Stack
	body, imports := quoted("file://"+filepath.Join(c.Folder, "template.json")), quoted("file://"+filepath.Join(c.Folder, "resources-to-import.json"))
	next := adoption{c.Folder, []string{
		"aws cloudformation create-change-set" + stack + " --change-set-name adopt --change-set-type IMPORT --template-body " + body + " --resources-to-import " + imports,
		"aws cloudformation wait change-set-create-complete" + stack + " --change-set-name adopt",
		"aws cloudformation execute-change-set" + stack + " --change-set-name adopt",
		"aws cloudformation wait stack-import-complete" + stack,
	}}
	return p.say(next, `The folder %s has a template and a list of what to import. Now run:

%s

Then deploy as usual, to the same stack. The deployment makes everything else, and lets its functions use the key.
`, c.Folder, strings.Join(next.Commands, "\n"))
}

// An adoption says in JSON where the files of an import are, and what to run then, before the next deployment.
type adoption struct {
	Folder   string   `json:"folder"`
	Commands []string `json:"commands"`
}
