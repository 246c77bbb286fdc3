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

// startDynamoDB gives the URL of a DynamoDB Local, and what ends it: that which runs at endpoint already, or a new one, which
// is installed first if need be.
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

// CreateTable makes the table of root's template.yaml in a DynamoDB Local, under a name, and waits until it can be used. Its
// keys, its billing and its stream are as the template says. Nothing protects it, and DynamoDB removes nothing from it that
// has expired, so that every reader has to tell.
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

// readTable reads what DynamoDB is told about the table when it is made. CloudFormation's names for that are the API's.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
func readTable(root string) (*dynamodb.CreateTableInput, error) {
	read, err := template.Read(root)
	if err != nil {
		return nil, err
	}
	tables := read.Named("AWS::DynamoDB::Table")
	if len(tables) != 1 {
		return nil, fmt.Errorf("template.yaml has %d tables, and 1 is known what to do with", len(tables))
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
		input.StreamSpecification.StreamEnabled = aws.Bool(true) // CloudFormation says it by its presence
	}
	return &input, nil
}
