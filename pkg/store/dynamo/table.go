package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// LocalClient makes a client for the DynamoDB Local at endpoint, which is a URL. The credentials are made up. The client tries each
// request three times at most. A request that waited too long for a lock counts as throttled. The options can change its settings.
func LocalClient(endpoint string, options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint:     aws.String(endpoint),
		Region:           "eu-west-1",
		RetryMaxAttempts: 3,
		APIOptions:       []func(*middleware.Stack) error{explainLocks},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}, options...)
}

// explainLocks makes a throttled request of one that waited too long for a lock of DynamoDB Local. It answers InternalServerError
// then, and says that DynamoDB would not. Such a request did nothing. So it can be tried again even if it isn't idempotent.
func explainLocks(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ExplainLocks", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if failed, ok := errors.AsType[*types.InternalServerError](err); ok && strings.Contains(failed.ErrorMessage(), "waiting for a lock") {
			err = &types.ThrottlingException{Message: failed.Message}
		}
		return out, metadata, err
	}), middleware.Before)
}

// CreateTable makes a table for a Store, which is paid by request and has a stream of new images. It waits until the table can be
// used. It is for tests and measurements. The tables of deployments and of the emulator are made from template.yaml. The table has
// no TTL, so expired items stay in it and every reader has to leave them out.
func CreateTable(ctx context.Context, client *dynamodb.Client, name string) error {
	out, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(name),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(partitionName), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(sortName), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(partitionName), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(sortName), KeyType: types.KeyTypeRange},
		},
		BillingMode: types.BillingModePayPerRequest,
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled:  aws.Bool(true),
			StreamViewType: types.StreamViewTypeNewImage,
		},
	})
	if err != nil {
		return fmt.Errorf("dynamo: create table: %w", err)
	}
	if out.TableDescription.TableStatus == types.TableStatusActive {
		return nil
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 5*time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(name)}, 2*time.Minute); err != nil {
		return fmt.Errorf("dynamo: create table: %w", err)
	}
	return nil
}

// EndStream ends the stream of a table, for tests and measurements that hand on no events. DynamoDB Local goes through all that is in
// a stream with every request, so a table with many records gets slow.
func EndStream(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: aws.String(name), StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	})
	if err != nil {
		return fmt.Errorf("dynamo: end stream: %w", err)
	}
	return nil
}
