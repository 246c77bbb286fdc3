package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A tableDoctor looks at how a table is set up: as the template makes it, or not.
type tableDoctor struct {
	client *dynamodb.Client
	name   string
	local  bool // a DynamoDB Local's, which has no backups, and where expiry and deletion are left alone on purpose
	findings
}

// look reports whether there is a table that can hold anything.
func (d *tableDoctor) look(ctx context.Context) bool {
	out, err := d.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &d.name})
	if err != nil {
		d.failed("table", err)
		return false
	}
	table := out.Table
	if status := table.TableStatus; status != types.TableStatusActive && status != types.TableStatusUpdating {
		d.wrong("table", "its status is "+string(status), "wait until it is ACTIVE; if it doesn't become so, see the stack's events")
		return false
	}
	d.ok("table", "%s can be reached", d.name)
	if !d.lookAtSchema(table) {
		return false
	}
	d.lookAtStream(table)
	if d.local {
		d.unseen("expiry, recovery, deletion protection", "they are Amazon's, and this is a DynamoDB Local", "")
		return true
	}
	d.lookAtExpiry(ctx)
	d.lookAtRecovery(ctx)
	if aws.ToBool(table.DeletionProtectionEnabled) {
		d.ok("deletion protection", "on")
	} else {
		d.wrong("deletion protection", "it is off, so one wrong call deletes all there is",
			"aws dynamodb update-table --table-name "+d.name+" --deletion-protection-enabled")
	}
	return true
}

func (d *tableDoctor) lookAtSchema(table *types.TableDescription) bool {
	kinds := map[string]string{}
	for _, a := range table.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = string(a.AttributeType)
	}
	var has []string
	for _, k := range table.KeySchema {
		name := aws.ToString(k.AttributeName)
		has = append(has, fmt.Sprintf("%s %s %s", name, kinds[name], k.KeyType))
	}
	slices.Sort(has)
	got := strings.Join(has, ", ")
	if got != "pk S HASH, sk S RANGE" {
		d.wrong("key schema", "it is "+got+", and must be pk S HASH, sk S RANGE", "this is another table, not Countersign's: compare --table with the output TableName of the stack")
		return false
	}
	d.ok("key schema", "%s", got)
	return true
}

func (d *tableDoctor) lookAtStream(table *types.TableDescription) {
	stream := table.StreamSpecification
	const do = "deploy the stack again; what was committed meanwhile is in no activity and on no bus"
	switch {
	case stream == nil || !aws.ToBool(stream.StreamEnabled):
		d.wrong("stream", "it is off, so no event is handed on", do)
	case stream.StreamViewType != types.StreamViewTypeNewImage:
		d.wrong("stream", "it shows "+string(stream.StreamViewType)+", and publish reads NEW_IMAGE", do)
	default:
		d.ok("stream", "NEW_IMAGE")
	}
}

func (d *tableDoctor) lookAtExpiry(ctx context.Context) {
	out, err := d.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &d.name})
	if err != nil {
		d.failed("expiry", err)
		return
	}
	var status types.TimeToLiveStatus
	var name string
	if t := out.TimeToLiveDescription; t != nil {
		status, name = t.TimeToLiveStatus, aws.ToString(t.AttributeName)
	}
	on := status == types.TimeToLiveStatusEnabled || status == types.TimeToLiveStatusEnabling
	switch {
	case !on:
		d.wrong("expiry", "time to live is off: what has expired is refused all the same, but never removed",
			"aws dynamodb update-time-to-live --table-name "+d.name+" --time-to-live-specification Enabled=true,AttributeName=x")
	case name != "x":
		d.wrong("expiry", "time to live is on for the attribute "+name+", and must be for x", "turn it off, and on again for x: aws dynamodb update-time-to-live")
	default:
		d.ok("expiry", "time to live is on, by x")
	}
}

func (d *tableDoctor) lookAtRecovery(ctx context.Context) {
	out, err := d.client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &d.name})
	if err != nil {
		d.failed("recovery", err)
		return
	}
	backups := out.ContinuousBackupsDescription
	if backups == nil || backups.PointInTimeRecoveryDescription == nil ||
		backups.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		d.wrong("recovery", "point-in-time recovery is off, so what is lost stays lost",
			"aws dynamodb update-continuous-backups --table-name "+d.name+" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
		return
	}
	d.ok("recovery", "point-in-time recovery is on")
}
