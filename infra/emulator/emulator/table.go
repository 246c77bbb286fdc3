package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal"
	"countersign/infra/emulator/template"
)

// startDynamoDB returns the URL of a DynamoDB Local, and a function that stops it. If endpoint is empty, it starts one, and
// installs it first if it isn't installed. Otherwise it takes the one at endpoint.
func startDynamoDB(ctx context.Context, endpoint string, log *slog.Logger) (url string, stop func(), err error) {
	if endpoint != "" {
		return endpoint, func() {}, nil
	}
	if _, err := dynamolocal.Install(ctx, func(f string, a ...any) { log.Info(fmt.Sprintf(f, a...)) }); err != nil {
		return "", nil, err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return "", nil, err
	}
	return server.Endpoint, server.Stop, nil
}

// CreateTable makes the table of the template.yaml in root in a DynamoDB Local, with another name, and waits until it can be
// used. Its keys, its billing and its stream are those of the template. It has no deletion protection, and DynamoDB removes no
// expired items from it, so that every reader has to notice by itself that an item has expired.
func CreateTable(ctx context.Context, client *dynamodb.Client, root, name string) error {
	input, err := readTable(root)
	if err != nil {
		return err
	}
	input.TableName = aws.String(name)
	if _, err := client.CreateTable(ctx, input); err != nil {
		return fmt.Errorf("create the table of template.yaml: %w", err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = time.Second })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: input.TableName}, time.Minute); err != nil {
		return fmt.Errorf("create the table of template.yaml: %w", err)
	}
	return nil
}

// readTable reads the properties of the table that the call CreateTable takes. CloudFormation and the call use the same names.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
func readTable(root string) (*dynamodb.CreateTableInput, error) {
	read, err := template.Read(root)
	if err != nil {
		return nil, err
	}
	tables := read.Named("AWS::DynamoDB::Table")
	if len(tables) != 1 {
		return nil, fmt.Errorf("template.yaml has %d tables, and must have 1", len(tables))
	}
	said := read.Resources[tables[0]].Properties
	told := object{}
	for _, name := range []string{"AttributeDefinitions", "BillingMode", "KeySchema", "StreamSpecification"} {
		told[name] = said[name]
	}
	text, err := json.Marshal(told)
	if err != nil {
		return nil, err
	}
	var input dynamodb.CreateTableInput
	if err := json.Unmarshal(text, &input); err != nil {
		return nil, fmt.Errorf("template.yaml: %s: %w", tables[0], err)
	}
	if input.StreamSpecification != nil {
		input.StreamSpecification.StreamEnabled = aws.Bool(true) // in CloudFormation a StreamSpecification alone turns the stream on
	}
	return &input, nil
}
