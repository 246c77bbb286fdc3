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

// A tableDoctor checks whether a table is set up as the template sets it up.
type tableDoctor struct {
	client *dynamodb.Client
	name   string
	local  bool // the table is in a DynamoDB Local, which has no backups, and where expiry and deletion protection are never set
	findings
}

// look reports whether there is a table that can have items.
func (d *tableDoctor) look(ctx context.Context) bool {
	out, err := d.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &d.name})
	if err != nil {
		d.failed("table", err)
		return false
	}
	table := out.Table
	if status := table.TableStatus; status != types.TableStatusActive && status != types.TableStatusUpdating {
		d.wrong("table", "Its status is "+string(status)+".", "Wait until it is ACTIVE. If it doesn't become ACTIVE, see the events of the stack.")
		return false
	}
	d.ok("table", "The table %s can be reached.", d.name)
	if !d.lookAtSchema(table) {
		return false
	}
	d.lookAtStream(table)
	if d.local {
		d.unseen("expiry, recovery, deletion protection", "Only a table at Amazon has these, and this one is in a DynamoDB Local.", "")
		return true
	}
	d.lookAtExpiry(ctx)
	d.lookAtRecovery(ctx)
	if aws.ToBool(table.DeletionProtectionEnabled) {
		d.ok("deletion protection", "It is on.")
	} else {
		d.wrong("deletion protection", "It is off, so one wrong call could delete the whole table.",
			"To turn it on: aws dynamodb update-table --table-name "+d.name+" --deletion-protection-enabled")
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
		d.wrong("key schema", "It is "+got+", but it must be pk S HASH, sk S RANGE.", "This is not the table of Countersign. Compare --table with the output TableName of the stack.")
		return false
	}
	d.ok("key schema", "It is %s.", got)
	return true
}

func (d *tableDoctor) lookAtStream(table *types.TableDescription) {
	stream := table.StreamSpecification
	const do = "Deploy the stack again. The activity and the bus don't get the events that were committed meanwhile."
	switch {
	case stream == nil || !aws.ToBool(stream.StreamEnabled):
		d.wrong("stream", "It is off, so no event is handed on.", do)
	case stream.StreamViewType != types.StreamViewTypeNewImage:
		d.wrong("stream", "It shows "+string(stream.StreamViewType)+", but the function publish needs NEW_IMAGE.", do)
	default:
		d.ok("stream", "It is on, and shows NEW_IMAGE.")
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
		d.wrong("expiry", "Time to live is off. So expired items are still refused, but never removed.",
			"To turn it on: aws dynamodb update-time-to-live --table-name "+d.name+" --time-to-live-specification Enabled=true,AttributeName=x")
	case name != "x":
		d.wrong("expiry", "Time to live is on for the attribute "+name+", but it must be on for x.", "Turn it off, and on again for x, with: aws dynamodb update-time-to-live")
	default:
		d.ok("expiry", "Time to live is on, for the attribute x.")
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
		d.wrong("recovery", "Point-in-time recovery is off, so lost items can't be restored.",
			"To turn it on: aws dynamodb update-continuous-backups --table-name "+d.name+" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
		return
	}
	d.ok("recovery", "Point-in-time recovery is on.")
}
