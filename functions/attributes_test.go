package functions

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/pkg/message"
)

// An attribute is what the template says in one place. In is a resource, a type of resources, or another section of the
// template. A path that ends with a star stands for everything below it.
type attribute struct {
	in, path string
	want     any    // a text, a number, a boolean, or a check of the value; it is judged if another test of this package checks the value
	why      string // what would go wrong with another value, or the name of the other test
}

// judged is the value of an attribute that another test checks.
type judged struct{}

// below returns a check that a value is a number greater than least and less than most.
func below(least, most int) func(any) bool {
	return func(v any) bool {
		n, ok := v.(int)
		return ok && least < n && n < most
	}
}

// attributes are all attributes of the template, except those that only people read, and those in deploymentAttributes.
var attributes = []attribute{
	{"Table", "DeletionPolicy", "RetainExceptOnCreate", "deleting the stack would delete all users with their factors"},
	{"Table", "UpdateReplacePolicy", "Retain", "a change that replaces the table would delete all users with their factors"},
	{"Table", "DeletionProtectionEnabled", true, "one call, by anybody who may make it, would delete all users"},
	{"Table", "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", true, "nothing could be restored after a bad write"},
	{"Table", "SSESpecification.SSEEnabled", true, "the use of the table's key would not be in the account's trail"},
	{"Table", "BillingMode", "PAY_PER_REQUEST", "sign-ins would be throttled at a capacity that somebody has to choose"},
	{"Table", "StreamSpecification.StreamViewType", "NEW_IMAGE", "publish would get no events, which are in the new image"},
	{"Table", "TimeToLiveSpecification.Enabled", true, "what has expired would stay for ever"},
	{"Table", "TimeToLiveSpecification.AttributeName", judged{}, "TestTheTablesTimeToLiveIsWhatTheStoreWrites"},
	{"Table", "AttributeDefinitions.*", judged{}, "TestTheTemplatesTableIsTheStores"},
	{"Table", "KeySchema.*", judged{}, "TestTheTemplatesTableIsTheStores"},

	{"Key", "DeletionPolicy", "RetainExceptOnCreate", "deleting the stack would make all sealed secrets unreadable"},
	{"Key", "UpdateReplacePolicy", "Retain", "a change that replaces the key would make all sealed secrets unreadable"},
	{"Key", "EnableKeyRotation", true, "the key's material would be the same for ever"},
	{"Key", "PendingWindowInDays", 30, "there would be less time to take back the deletion of the key"},
	{"Key", "KeyPolicy.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"Key", "KeyPolicy.Statement.*", judged{}, "TestNobodyButTheFunctionsMayUseTheKey and TestEveryFunctionMayDoWhatItDoesAndNothingElse"},
	{"KeyAlias", "AliasName", "alias/countersign-${Stage}", "stages would share a name"},
	{"KeyAlias", "TargetKeyId", "${Key}", "people would find another key by the name"},
	{"Bus", "Name", "countersign-${Stage}", "stages would share a bus"},

	{"Api", "Name", "countersign-${Stage}", "stages would have one name"},
	{"Api", "ProtocolType", "HTTP", "the events would have another format"},
	{"Api", "DisableExecuteApiEndpoint.Fn::If.0", "DisablesDefaultEndpoint", "the parameter would do nothing"},
	{"Api", "DisableExecuteApiEndpoint.Fn::If.1", true, "callers would walk around the owner's domain and its WAF"},
	{"Api", "DisableExecuteApiEndpoint.Fn::If.2", false, "nobody could call without a domain"},
	{"Api", "CorsConfiguration.Fn::If.0", "HasBrowserOrigins", "the parameter would do nothing"},
	{"Api", "CorsConfiguration.Fn::If.1.AllowOrigins", "${BrowserOrigins}", "pages of other origins could call"},
	{"Api", "CorsConfiguration.Fn::If.1.AllowCredentials", false, "a browser would send cookies along"},
	{"Api", "CorsConfiguration.Fn::If.1.AllowMethods.*", judged{}, "TestPagesOfOtherOriginsMayDoTheSameEverywhere"},
	{"Api", "CorsConfiguration.Fn::If.1.AllowHeaders.*", judged{}, "TestPagesOfOtherOriginsMayDoTheSameEverywhere"},
	{"Api", "CorsConfiguration.Fn::If.1.ExposeHeaders.*", judged{}, "TestPagesOfOtherOriginsMayDoTheSameEverywhere"},
	{"Api", "CorsConfiguration.Fn::If.1.MaxAge", judged{}, "TestPagesOfOtherOriginsMayDoTheSameEverywhere"},
	{"Api", "CorsConfiguration.Fn::If.2", "${AWS::NoValue}", "a deployment without browsers would not be made"},
	{"ApiStage", "ApiId", "${Api}", "the API would have no stage"},
	{"ApiStage", "StageName", "$default", "paths would begin with the stage's name"},
	{"ApiStage", "AutoDeploy", true, "a new route would not be there after a deployment"},
	{"ApiStage", "DefaultRouteSettings.ThrottlingRateLimit", 500, "operating.md promises 500 calls a second; a few would refuse everybody, and no limit would let anybody spend without end"},
	{"ApiStage", "DefaultRouteSettings.ThrottlingBurstLimit", 1000, "calls that come at the same moment would be refused"},
	{"ApiStage", "AccessLogSettings.DestinationArn", "${ApiLogs.Arn}", "what API Gateway refuses by itself would be nowhere"},
	{"ApiStage", "AccessLogSettings.Format", judged{}, "TestTheAccessLogHasNoIdsOrAddresses"},

	{"Domain", "Condition", "HasDomain", "a deployment without a domain would not be made"},
	{"Domain", "DomainName", "${DomainName}", "the API would answer at another domain"},
	{"Domain", "DomainNameConfigurations.0.CertificateArn", "${CertificateArn}", "browsers would refuse the domain"},
	{"Domain", "DomainNameConfigurations.0.EndpointType", "REGIONAL", "an HTTP API has no other domains"},
	{"Domain", "DomainNameConfigurations.0.SecurityPolicy", "TLS_1_2", "versions of TLS would be taken that are broken"},
	{"DomainMapping", "Condition", "HasDomain", "a deployment without a domain would not be made"},
	{"DomainMapping", "ApiId", "${Api}", "the domain would lead to another API"},
	{"DomainMapping", "DomainName", "${Domain}", "the domain would lead nowhere"},
	{"DomainMapping", "Stage", "${ApiStage}", "the domain would lead nowhere"},
	{"DomainRecord", "Condition", "HasHostedZone", "a deployment without a hosted zone would not be made"},
	{"DomainRecord", "Name", "${DomainName}", "another name would lead to the API"},
	{"DomainRecord", "Type", "A", "the name would have no address"},
	{"DomainRecord", "HostedZoneId", "${HostedZoneId}", "the record would be in another zone"},
	{"DomainRecord", "AliasTarget.DNSName", "${Domain.RegionalDomainName}", "the name would lead elsewhere"},
	{"DomainRecord", "AliasTarget.HostedZoneId", "${Domain.RegionalHostedZoneId}", "the name would lead elsewhere"},

	{"AWS::Logs::LogGroup", "DeletionPolicy", "Delete", "the logs of a stack that is gone would stay"},
	{"AWS::Logs::LogGroup", "UpdateReplacePolicy", "Delete", "logs would stay under a name that nobody looks at"},
	{"AWS::Logs::LogGroup", "RetentionInDays", "${LogRetentionDays}", "logs would be kept for ever"},
	{"AWS::Logs::LogGroup", "LogGroupName", regexp.MustCompile(`^(/countersign/\$\{Stage}/[a-z]+|/aws/vendedlogs/countersign/\$\{Stage}/api)$`), "stages would share logs, or API Gateway could not write its own"},

	{"AWS::ApiGatewayV2::Integration", "ApiId", "${Api}", "it would not be of this API"},
	{"AWS::ApiGatewayV2::Integration", "IntegrationType", "AWS_PROXY", "functions would get another event"},
	{"AWS::ApiGatewayV2::Integration", "PayloadFormatVersion", "2.0", "functions would get another event"},
	{"AWS::ApiGatewayV2::Integration", "IntegrationUri", judged{}, "TestTemplateRouteTableAndDocumentHaveTheSameRoutes"},
	{"AWS::ApiGatewayV2::Integration", "TimeoutInMillis", below(10_000, 30_000), "the API would give up before the function does, and its caller would not hear what was committed"},
	{"AWS::ApiGatewayV2::Route", "ApiId", "${Api}", "it would not be of this API"},
	{"AWS::ApiGatewayV2::Route", "RouteKey", judged{}, "TestTemplateRouteTableAndDocumentHaveTheSameRoutes"},
	{"AWS::ApiGatewayV2::Route", "Target", judged{}, "TestTemplateRouteTableAndDocumentHaveTheSameRoutes"},
	{"AWS::Lambda::Permission", "Action", "lambda:InvokeFunction", "the API could not call, or could do more"},
	{"AWS::Lambda::Permission", "Principal", "apigateway.amazonaws.com", "others could call"},
	{"AWS::Lambda::Permission", "SourceArn", "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*", "an API of another account could call, with a source address that it makes up"},
	{"AWS::Lambda::Permission", "FunctionName", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},

	{"AWS::IAM::Role", "AssumeRolePolicyDocument.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"AWS::IAM::Role", "AssumeRolePolicyDocument.Statement.0.Effect", "Allow", "no function could run"},
	{"AWS::IAM::Role", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "lambda.amazonaws.com", "others could take on a function's rights"},
	{"AWS::IAM::Role", "AssumeRolePolicyDocument.Statement.0.Action", "sts:AssumeRole", "no function could run"},
	{"AWS::IAM::Role", "PermissionsBoundary.Fn::If.0", "HasPermissionsBoundary", "the parameter would do nothing"},
	{"AWS::IAM::Role", "PermissionsBoundary.Fn::If.1", "${PermissionsBoundary}", "accounts that require a boundary would refuse the role"},
	{"AWS::IAM::Role", "PermissionsBoundary.Fn::If.2", "${AWS::NoValue}", "a deployment without a boundary would not be made"},
	{"AWS::IAM::Role", "Policies.*", judged{}, "TestEveryFunctionMayDoWhatItDoesAndNothingElse"},

	{"Globals", "Runtime", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"Globals", "Handler", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"Globals", "Architectures.0", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"Globals", "MemorySize", 512, "the figures of cost and speed that the project publishes are for this"},
	{"Globals", "Timeout", judged{}, "TestAFunctionHasTheTimeThatItsCodeCountsOn"},
	{"Globals", "Tracing", "${Tracing}", "the parameter would do nothing"},
	{"Globals", "LoggingConfig.LogFormat", "JSON", "the metrics that the logs carry would not be found"},
	{"Globals", "LoggingConfig.SystemLogLevel", "WARN", "every call would cost Lambda's own lines too"},
	{"Globals", "Environment.Variables.COUNTERSIGN_STAGE", "${Stage}", "the metrics of all deployments of an account would be one, and alarms see none of them"},
	{"Globals", "Environment.Variables.COUNTERSIGN_TABLE", "${Table}", "functions would use another table than their role may"},
	{"Globals", "Environment.Variables.COUNTERSIGN_KMS_KEY", "${Key.Arn}", "the ring would be wrapped by another key"},
	{"Globals", "Environment.Variables.COUNTERSIGN_EDGE_DIGESTS", "${EdgeDigests}", "callers could go around CloudFront and its WAF"},
	{"Globals", "Environment.Variables.COUNTERSIGN_ISSUER.Fn::If.0", "HasIssuer", "the parameter would do nothing"},
	{"Globals", "Environment.Variables.COUNTERSIGN_ISSUER.Fn::If.1", "${Issuer}", "tokens would name another issuer than clients check"},
	{"Globals", "Environment.Variables.COUNTERSIGN_ISSUER.Fn::If.2", "${Api.ApiEndpoint}", "tokens would name another issuer than clients check"},
	{"Globals", "Environment.Variables.COUNTERSIGN_SENDER_NAME", "${SenderName}", "messages would come from another name"},
	{"Globals", "Environment.Variables.COUNTERSIGN_RP_ID", "${RpId}", "security keys and passkeys would not be offered"},
	{"Globals", "Environment.Variables.AWS_USE_FIPS_ENDPOINT", "${FipsEndpoints}", "the parameter would do nothing"},
	{"Globals", "Environment.Variables.COUNTERSIGN_DYNAMODB_ENDPOINT", "", "a deployed function would refuse to work"},
	{"Globals", "Environment.Variables.COUNTERSIGN_KMS_ENDPOINT", "", "a deployed function would refuse to work"},
	{"Globals", "Environment.Variables.GOGC", "400", "a collection of what the SDK builds at the start would fall into each first call"},
	{"Globals", "Environment.Variables.GOMEMLIMIT", judged{}, "TestTheCollectorLeavesRoomBelowTheMemoryThatLambdaGives"},

	{"AWS::Serverless::Function", "BuildMethod", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"AWS::Serverless::Function", "CodeUri", judged{}, "TestEveryFunctionHasAFolderAnEventAndAPartOfTheTemplate"},
	{"AWS::Serverless::Function", "Role", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"AWS::Serverless::Function", "LoggingConfig.LogGroup", judged{}, "TestEveryFunctionIsBuiltRunAndReachedAlike"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SENDER", "${SenderAddress}", "SES would refuse the sender, which the role is bound to"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SES_CONFIGURATION_SET.*", judged{}, "TestARoleAllowsTheConfigurationSetThatMessagesAreSentWith"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SES_ENDPOINT", "", "a deployed function would refuse to work"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_PROVIDER", "${SmsProvider}", "the parameter would do nothing"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_CODE_DOMAIN", "${SmsCodeDomain}", "phones would offer codes on pages where nobody types them"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_SENDER_ID", "${SmsSenderId}", "the parameter would do nothing"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_ORIGINATION_NUMBER", "${SmsOriginationNumber}", "the parameter would do nothing"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_ORIGINATION_ARN", "${SmsOriginationArn}", "End User Messaging would be asked to send from what the role may not use"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_MAX_PRICE", "${SmsMaxPrice}", "a message could cost more than the owner allows"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_CONFIGURATION_SET", "${SmsConfigurationSet}", "the parameter would do nothing"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_PROTECT_CONFIGURATION", "${SmsProtectConfiguration}", "countries that the owner has blocked would get messages"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SNS_ENDPOINT", "", "a deployed function would refuse to work"},
	{"AWS::Serverless::Function", "Environment.Variables.COUNTERSIGN_SMS_VOICE_ENDPOINT", "", "a deployed function would refuse to work"},
	{"PagesFunction", "Environment.Variables.COUNTERSIGN_RELATED_ORIGINS", "${RelatedOrigins}", "passkeys could be used on no other domain"},
	{"PublishFunction", "Environment.Variables.COUNTERSIGN_BUS", "${Bus}", "events would go to another bus than the role may put on"},
	{"PublishFunction", "Environment.Variables.COUNTERSIGN_ROUTINE_EVENTS", "${RoutineEvents}", "the parameter would do nothing"},
	{"PublishFunction", "Environment.Variables.COUNTERSIGN_EVENTBRIDGE_ENDPOINT", "", "a deployed function would refuse to work"},

	{"PagesFunction", "ReservedConcurrentExecutions.Fn::If.0", "ReservesConcurrency", "a new account could not be deployed to"},
	{"PagesFunction", "ReservedConcurrentExecutions.Fn::If.1", 20, "whoever floods the open pages would take the account's concurrency from sign-ins"},
	{"PagesFunction", "ReservedConcurrentExecutions.Fn::If.2", "${AWS::NoValue}", "a new account could not be deployed to"},
	{"SweepFunction", "ReservedConcurrentExecutions.Fn::If.0", "ReservesConcurrency", "a new account could not be deployed to"},
	{"SweepFunction", "ReservedConcurrentExecutions.Fn::If.1", 1, "two runs at once would do the same work twice"},
	{"SweepFunction", "ReservedConcurrentExecutions.Fn::If.2", "${AWS::NoValue}", "a new account could not be deployed to"},
	{"SweepFunction", "Timeout", below(60, 15*60), "a run would be cut off, or still be under way when the next begins"},
	{"SweepFunction", "EventInvokeConfig.MaximumRetryAttempts", 1, "a run that fails once would be lost, or be repeated beside the next"},
	{"SweepFunction", "EventInvokeConfig.MaximumEventAgeInSeconds", 15 * 60, "a run would be repeated although the next has done its work"},
	{"SweepFunction", "EventInvokeConfig.DestinationConfig.OnFailure.Type", "SQS", "nobody would learn of runs that failed"},
	{"SweepFunction", "EventInvokeConfig.DestinationConfig.OnFailure.Destination", "${SweepFailures.Arn}", "nobody would learn of runs that failed"},
	{"SweepFunction", "Events.SignedOut.Type", "EventBridgeRule", "it would be told of signed-out users only by the schedule"},
	{"SweepFunction", "Events.SignedOut.Properties.RuleName", "countersign-${Stage}-signed-out", "stages would share a rule"},
	{"SweepFunction", "Events.SignedOut.Properties.EventBusName", "${Bus}", "the rule would wait for events on a bus that gets none"},
	{"SweepFunction", "Events.SignedOut.Properties.Pattern.source.0", "countersign", "events of other programs would wake the sweep"},
	{"SweepFunction", "Events.SignedOut.Properties.Pattern.detail-type.0", "policy.changed", "other events would wake the sweep"},
	{"SweepFunction", "Events.SignedOut.Properties.Pattern.detail.data.signed_out_before.0.exists", true, "every change of a policy would wake the sweep"},
	{"SweepFunction", "Events.SignedOut.Properties.RetryPolicy.MaximumRetryAttempts", 2, "the sweep would be woken a hundred times for one event"},
	{"SweepFunction", "Events.SignedOut.Properties.RetryPolicy.MaximumEventAgeInSeconds", 15 * 60, "the sweep would be woken although its next run has done the work"},
	{"SweepFunction", "Events.Schedule.Type", "ScheduleV2", "it would be a rule of the bus, which has no retries of its own"},
	{"SweepFunction", "Events.Schedule.Properties.Name", "countersign-${Stage}-sweep", "stages would share a schedule"},
	{"SweepFunction", "Events.Schedule.Properties.ScheduleExpression", "rate(15 minutes)", "ends of trust would be announced later than promised, and doctor would warn"},
	{"SweepFunction", "Events.Schedule.Properties.FlexibleTimeWindow.Mode", "OFF", "ends of trust would be announced later than promised"},
	{"SweepFunction", "Events.Schedule.Properties.RetryPolicy.MaximumRetryAttempts", 2, "a run that can't be started would be lost, or started a hundred times"},
	{"SweepFunction", "Events.Schedule.Properties.RetryPolicy.MaximumEventAgeInSeconds", 15 * 60, "a run would be started although the next has done its work"},
	{"SweepFunction", "Events.Schedule.Properties.DeadLetterConfig.Arn", "${SweepFailures.Arn}", "nobody would learn of runs that could not be started"},
	{"SweepFunction", "Events.Schedule.Properties.PermissionsBoundary.Fn::If.0", "HasPermissionsBoundary", "the parameter would do nothing for the schedule's role"},
	{"SweepFunction", "Events.Schedule.Properties.PermissionsBoundary.Fn::If.1", "${PermissionsBoundary}", "accounts that require a boundary would refuse the schedule's role"},
	{"SweepFunction", "Events.Schedule.Properties.PermissionsBoundary.Fn::If.2", "${AWS::NoValue}", "a deployment without a boundary would not be made"},
	{"SweepFailuresPolicy", "Queues.0", "${SweepFailures}", "the queue would have no policy"},
	{"SweepFailuresPolicy", "PolicyDocument.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"SweepFailuresPolicy", "PolicyDocument.Statement.0.Effect", "Deny", "it would open the queue to everybody"},
	{"SweepFailuresPolicy", "PolicyDocument.Statement.0.Principal", "*", "somebody could use plain HTTP"},
	{"SweepFailuresPolicy", "PolicyDocument.Statement.0.Action", "sqs:*", "somebody could use plain HTTP for something"},
	{"SweepFailuresPolicy", "PolicyDocument.Statement.0.Resource", "${SweepFailures.Arn}", "somebody could use plain HTTP for the queue"},
	{"SweepFailuresPolicy", "PolicyDocument.Statement.0.Condition.Bool.aws:SecureTransport", "false", "it would refuse TLS"},
	{"SweepFailures", "DeletionPolicy", "Delete", "the queue would stay when the stack is gone"},
	{"SweepFailures", "UpdateReplacePolicy", "Delete", "a queue would stay that nobody looks at"},
	{"SweepFailures", "SqsManagedSseEnabled", true, "what is in it would not be encrypted at rest"},
	{"SweepFailures", "MessageRetentionPeriod", 14 * 24 * 3600, "a failure of a holiday would be forgotten by its end"},

	{"PublishFunction", "Timeout", below(30, 900), "a batch of a hundred records, some with an email, would be cut off and begun anew"},
	{"PublishFunction", "Events.Stream.Type", "DynamoDB", "it would not follow the table"},
	{"PublishFunction", "Events.Stream.Properties.Stream", "${Table.StreamArn}", "it would not follow the table"},
	{"PublishFunction", "Events.Stream.Properties.StartingPosition", "TRIM_HORIZON", "what was committed while it is deployed would never be told"},
	{"PublishFunction", "Events.Stream.Properties.BatchSize", 100, "RESULTS.md's figures of cost are for this"},
	{"PublishFunction", "Events.Stream.Properties.MaximumBatchingWindowInSeconds", 10, "activity and notices would be late, or each sign-in cost an invocation"},
	{"PublishFunction", "Events.Stream.Properties.FilterCriteria.*", judged{}, "TestThePublishEventIsABatchThatTheFilterLetsThrough"},
	{"PublishFunction", "Events.Stream.Properties.FunctionResponseTypes.0", "ReportBatchItemFailures", "one record that fails would repeat, or lose, all of its batch"},
	{"PublishFunction", "Events.Stream.Properties.BisectBatchOnFunctionError", true, "one record that fails would take its whole batch to the bucket"},
	{"PublishFunction", "Events.Stream.Properties.MaximumRetryAttempts", below(2, 21), "a short outage would lose events, or one bad record hold up its shard for a day"},
	{"PublishFunction", "Events.Stream.Properties.DestinationConfig.OnFailure.Type", "S3", "a queue would get only where the records were, which the stream forgets in a day"},
	{"PublishFunction", "Events.Stream.Properties.DestinationConfig.OnFailure.Destination", "${PublishFailures.Arn}", "events that were given up would be lost"},
	{"PublishFailures", "DeletionPolicy", "RetainExceptOnCreate", "events that were given up would be lost with the stack"},
	{"PublishFailures", "UpdateReplacePolicy", "Retain", "events that were given up would be lost"},
	{"PublishFailures", "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm", "AES256", "items of the table would be there without encryption"},
	{"PublishFailures", "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", true, "nobody would learn of records that were given up"},
	{"PublishFailures", "OwnershipControls.Rules.0.ObjectOwnership", "BucketOwnerEnforced", "access lists could open what is in it"},
	{"PublishFailures", "PublicAccessBlockConfiguration.BlockPublicAcls", true, "items of the table could become public"},
	{"PublishFailures", "PublicAccessBlockConfiguration.BlockPublicPolicy", true, "items of the table could become public"},
	{"PublishFailures", "PublicAccessBlockConfiguration.IgnorePublicAcls", true, "items of the table could become public"},
	{"PublishFailures", "PublicAccessBlockConfiguration.RestrictPublicBuckets", true, "items of the table could become public"},
	{"PublishFailures", "LifecycleConfiguration.Rules.0.Id", "Forget", "the rule would not be known by its name"},
	{"PublishFailures", "LifecycleConfiguration.Rules.0.Status", "Enabled", "items of users who were erased would stay for ever"},
	{"PublishFailures", "LifecycleConfiguration.Rules.0.ExpirationInDays", 30, "items of users who were erased would stay, or events be gone before anybody repeats them"},
	{"PublishFailures", "LifecycleConfiguration.Rules.0.AbortIncompleteMultipartUpload.DaysAfterInitiation", 1, "halves of items would stay for ever"},
	{"PublishFailuresPolicy", "Bucket", "${PublishFailures}", "the bucket would have no policy"},
	{"PublishFailuresPolicy", "PolicyDocument.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Effect", "Deny", "it would open the bucket to everybody"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Principal", "*", "somebody could use plain HTTP"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Action", "s3:*", "somebody could use plain HTTP for something"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Resource.0", "${PublishFailures.Arn}", "somebody could use plain HTTP for the bucket"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Resource.1", "${PublishFailures.Arn}/*", "somebody could use plain HTTP for what is in it"},
	{"PublishFailuresPolicy", "PolicyDocument.Statement.0.Condition.Bool.aws:SecureTransport", "false", "it would refuse TLS"},

	{"AWS::CloudWatch::Alarm", "*", judged{}, "TestEachAlarmCrossesAndClears and TestEachAlarmTellsTheTopicAndNamesItsSection"},
	{"AlarmTopic", "TopicName", "countersign-${Stage}-alarms", "stages would share a topic"},
	{"AlarmTopic", "DisplayName", "Countersign ${Stage}", "emails about alarms would not say which deployment they are about"},
	{"AlarmTopicPolicy", "Topics.0", "${AlarmTopic}", "the topic would have no policy"},
	{"AlarmTopicPolicy", "PolicyDocument.*", judged{}, "TestTheTopicTakesAlarmsOfThisDeploymentOverTLSAndNothingElse"},
	{"AlarmSubscription", "Condition", "HasAlarmAddress", "the subscription of no address would fail"},
	{"AlarmSubscription", "TopicArn", "${AlarmTopic}", "the address would hear of nothing"},
	{"AlarmSubscription", "Protocol", "email", "the address would hear of nothing"},
	{"AlarmSubscription", "Endpoint", "${AlarmAddress}", "somebody else would hear of alarms"},
	{"KeyInDanger", "Name", "countersign-${Stage}-key-in-danger", "stages would share a rule"},
	{"KeyInDanger", "EventPattern.*", judged{}, "TestTheRuleOfTheKeySeesItsEndAndNothingElse"},
	{"KeyInDanger", "Targets.0.Id", "topic", "the target would not be known by its name"},
	{"KeyInDanger", "Targets.0.Arn", "${AlarmTopic}", "nobody would hear of it"},
	{"KeyInDanger", "Targets.0.InputTransformer.*", judged{}, "TestTheRuleOfTheKeySeesItsEndAndNothingElse"},
	{"PublishGaveUpRule", "Name", "countersign-${Stage}-publish-gave-up", "stages would share a rule"},
	{"PublishGaveUpRule", "EventPattern.*", judged{}, "TestEachAlarmCrossesAndClears"},
	{"PublishGaveUpRule", "Targets.0.Id", "queue", "the target would not be known by its name"},
	{"PublishGaveUpRule", "Targets.0.Arn", "${PublishGaveUpQueue.Arn}", "nobody would learn of records that were given up"},
	{"PublishGaveUpQueue", "DeletionPolicy", "Delete", "the queue would stay when the stack is gone"},
	{"PublishGaveUpQueue", "UpdateReplacePolicy", "Delete", "a queue would stay that nobody looks at"},
	{"PublishGaveUpQueue", "SqsManagedSseEnabled", true, "what is in it would not be encrypted at rest"},
	{"PublishGaveUpQueue", "MessageRetentionPeriod", 14 * 24 * 3600, "the alarm would end although nobody has looked at it"},
	{"PublishGaveUpQueuePolicy", "Queues.0", "${PublishGaveUpQueue}", "the rule could not put a message there"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Statement.0.Effect", "Allow", "the rule could not put a message there"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Statement.0.Principal.Service", "events.amazonaws.com", "others could put messages there"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Statement.0.Action", "sqs:SendMessage", "the rule could not put a message there"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Statement.0.Resource", "${PublishGaveUpQueue.Arn}", "the rule could not put a message there"},
	{"PublishGaveUpQueuePolicy", "PolicyDocument.Statement.0.Condition.ArnEquals.aws:SourceArn", "${PublishGaveUpRule.Arn}", "any rule of any account could put messages there"},
	{"Dashboard", "DashboardName", "countersign-${Stage}", "stages would share a dashboard"},
	{"Dashboard", "DashboardBody", judged{}, "TestTheDashboardShowsMetricsThatThereAre"},

	{"Conditions", "HasAlarmAddress.Fn::Not.0.Fn::Equals.0", "${AlarmAddress}", "the parameter would do nothing"},
	{"Conditions", "HasAlarmAddress.Fn::Not.0.Fn::Equals.1", "", "the parameter would do nothing"},
	{"Conditions", "RecordsTraces.Fn::Equals.0", "${Tracing}", "functions could not write their traces, or could without need"},
	{"Conditions", "RecordsTraces.Fn::Equals.1", "Active", "functions could not write their traces, or could without need"},
	{"Conditions", "SendsTexts.Fn::Not.0.Fn::Equals.0", "${SmsProvider}", "alarms of text messages would be missing, or cost without need"},
	{"Conditions", "SendsTexts.Fn::Not.0.Fn::Equals.1", "none", "alarms of text messages would be missing, or cost without need"},

	{"MailSet", "Condition", "MakesConfigurationSet", "the parameter would do nothing"},
	{"MailSet", "Name", "countersign-${Stage}", "stages would share a set"},
	{"MailSet", "DeliveryOptions.TlsPolicy", "REQUIRE", "codes would be sent in plain text to a mail server that asks for it"},
	{"MailSet", "ReputationOptions.ReputationMetricsEnabled", true, "nobody would see how many messages come back"},
	{"MailSet", "SendingOptions.SendingEnabled", true, "SES would refuse every message"},
	{"MailSet", "SuppressionOptions.SuppressedReasons.*", judged{}, "TestTheStacksOwnConfigurationSetTellsWhatComesBackAndTracksNothing"},
	{"MailSetFeedback", "Condition", "MakesConfigurationSet", "a stack without the set would not be made"},
	{"MailSetFeedback", "ConfigurationSetName", "${MailSet}", "messages that come back would not be told of"},
	{"MailSetFeedback", "EventDestination.Name", "feedback", "people would not know what it is for"},
	{"MailSetFeedback", "EventDestination.Enabled", true, "messages that come back would not be told of"},
	{"MailSetFeedback", "EventDestination.MatchingEventTypes.*", judged{}, "TestTheStacksOwnConfigurationSetTellsWhatComesBackAndTracksNothing"},
	{"MailSetFeedback", "EventDestination.EventBridgeDestination.EventBusArn", "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default", "SES takes no other bus"},

	{"FeedbackFunction", "EventInvokeConfig.MaximumRetryAttempts", 2, "a short outage would lose what came back"},
	{"FeedbackFunction", "EventInvokeConfig.MaximumEventAgeInSeconds", 6 * 3600, "an outage would lose what came back"},
	{"FeedbackFunction", "EventInvokeConfig.DestinationConfig.OnFailure.Type", "SQS", "nobody would learn of events that could not be taken"},
	{"FeedbackFunction", "EventInvokeConfig.DestinationConfig.OnFailure.Destination", "${FeedbackFailures.Arn}", "nobody would learn of events that could not be taken"},
	{"FeedbackFunction", "Events.Returned.Type", "EventBridgeRule", "it would hear nothing of SES"},
	{"FeedbackFunction", "Events.Returned.Properties.RuleName", "countersign-${Stage}-feedback", "the queue would take nothing from the rule"},
	{"FeedbackFunction", "Events.Returned.Properties.Pattern.*", judged{}, "TestTheRuleOfFeedbackMatchesItsEventAndNoOtherDeployments"},
	{"FeedbackFunction", "Events.Returned.Properties.RetryPolicy.MaximumRetryAttempts", 185, "an outage would lose what came back"},
	{"FeedbackFunction", "Events.Returned.Properties.RetryPolicy.MaximumEventAgeInSeconds", 6 * 3600, "an outage would lose what came back"},
	{"FeedbackFunction", "Events.Returned.Properties.DeadLetterConfig.Arn", "${FeedbackFailures.Arn}", "nobody would learn of events that could not be handed over"},
	{"FeedbackFailures", "DeletionPolicy", "Delete", "the queue would stay when the stack is gone"},
	{"FeedbackFailures", "UpdateReplacePolicy", "Delete", "a queue would stay that nobody looks at"},
	{"FeedbackFailures", "SqsManagedSseEnabled", true, "addresses would be there without encryption"},
	{"FeedbackFailures", "MessageRetentionPeriod", 4 * 24 * 3600, "addresses would stay, or a failure of a long weekend be forgotten by its end"},
	{"FeedbackFailuresPolicy", "Queues.0", "${FeedbackFailures}", "the rule could not put what it can't hand over there"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Version", "2012-10-17", "variables in the policy would be read as text"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Statement.0.Effect", "Allow", "the rule could not put what it can't hand over there"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Statement.0.Principal.Service", "events.amazonaws.com", "others could put something there"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Statement.0.Action", "sqs:SendMessage", "more would be allowed than the rule needs"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Statement.0.Resource", "${FeedbackFailures.Arn}", "the rule could not put what it can't hand over there"},
	{"FeedbackFailuresPolicy", "PolicyDocument.Statement.0.Condition.ArnEquals.aws:SourceArn", "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/countersign-${Stage}-feedback", "rules of anybody could put something there"},

	{"Conditions", "MakesConfigurationSet.Fn::And.0.Fn::Equals.0", "${SesConfigurationSet}", "the stack would make a set that isn't used"},
	{"Conditions", "MakesConfigurationSet.Fn::And.0.Fn::Equals.1", "", "the stack would make a set that isn't used"},
	{"Conditions", "MakesConfigurationSet.Fn::And.1.Fn::Equals.0", "${MakeSesConfigurationSet}", "the parameter would do nothing"},
	{"Conditions", "MakesConfigurationSet.Fn::And.1.Fn::Equals.1", "yes", "the parameter would do nothing"},
	{"Conditions", "HasBrowserOrigins.Fn::Not.0.Fn::Equals.0.Fn::Join.0", "", "an origin would be taken for none, or none for one"},
	{"Conditions", "HasBrowserOrigins.Fn::Not.0.Fn::Equals.0.Fn::Join.1", "${BrowserOrigins}", "the parameter would do nothing"},
	{"Conditions", "HasBrowserOrigins.Fn::Not.0.Fn::Equals.1", "", "an origin would be taken for none, or none for one"},
	{"Conditions", "HasDomain.Fn::Not.0.Fn::Equals.0", "${DomainName}", "the parameter would do nothing"},
	{"Conditions", "HasDomain.Fn::Not.0.Fn::Equals.1", "", "a deployment without a domain would not be made"},
	{"Conditions", "HasHostedZone.Fn::And.0.Condition", "HasDomain", "a record would point to a domain that isn't there"},
	{"Conditions", "HasHostedZone.Fn::And.1.Fn::Not.0.Fn::Equals.0", "${HostedZoneId}", "the parameter would do nothing"},
	{"Conditions", "HasHostedZone.Fn::And.1.Fn::Not.0.Fn::Equals.1", "", "a deployment without a hosted zone would not be made"},
	{"Conditions", "HasPermissionsBoundary.Fn::Not.0.Fn::Equals.0", "${PermissionsBoundary}", "the parameter would do nothing"},
	{"Conditions", "HasPermissionsBoundary.Fn::Not.0.Fn::Equals.1", "", "a deployment without a boundary would not be made"},
	{"Conditions", "HasIssuer.Fn::Not.0.Fn::Equals.0", "${Issuer}", "the issuer would be empty, or never the owner's"},
	{"Conditions", "HasIssuer.Fn::Not.0.Fn::Equals.1", "", "the issuer would be empty, or never the owner's"},
	{"Conditions", "HasConfigurationSet.Fn::Not.0.Fn::Equals.0", "${SesConfigurationSet}", "roles would not allow the configuration set that is used"},
	{"Conditions", "HasConfigurationSet.Fn::Not.0.Fn::Equals.1", "", "roles would not allow the configuration set that is used"},
	{"Conditions", "SendsTextsBySns.Fn::Equals.0", "${SmsProvider}", "roles would not allow what is used, or would allow it without need"},
	{"Conditions", "SendsTextsBySns.Fn::Equals.1", "sns", "roles would not allow what is used, or would allow it without need"},
	{"Conditions", "SendsTextsByEndUserMessaging.Fn::Equals.0", "${SmsProvider}", "roles would not allow what is used, or would allow it without need"},
	{"Conditions", "SendsTextsByEndUserMessaging.Fn::Equals.1", "end-user-messaging", "roles would not allow what is used, or would allow it without need"},
	{"Conditions", "DisablesDefaultEndpoint.Fn::Equals.0", "${DefaultEndpoint}", "the parameter would do nothing"},
	{"Conditions", "DisablesDefaultEndpoint.Fn::Equals.1", "disabled", "the parameter would do nothing"},
	{"Conditions", "ReservesConcurrency.Fn::Equals.0", "${ReserveConcurrency}", "the parameter would do nothing"},
	{"Conditions", "ReservesConcurrency.Fn::Equals.1", "yes", "the parameter would do nothing"},
	{"Rules", "ADomainNeedsACertificate.RuleCondition.Fn::Not.0.Fn::Equals.0", "${DomainName}", "a deployment could fail halfway"},
	{"Rules", "ADomainNeedsACertificate.RuleCondition.Fn::Not.0.Fn::Equals.1", "", "a deployment could fail halfway"},
	{"Rules", "ADomainNeedsACertificate.Assertions.0.Assert.Fn::Not.0.Fn::Equals.0", "${CertificateArn}", "a deployment could fail halfway"},
	{"Rules", "ADomainNeedsACertificate.Assertions.0.Assert.Fn::Not.0.Fn::Equals.1", "", "a deployment could fail halfway"},
	{"Rules", "ADomainNeedsACertificate.Assertions.1.Assert.Fn::Not.0.Fn::Equals.0", "${Issuer}", "tokens would name another issuer than clients check"},
	{"Rules", "ADomainNeedsACertificate.Assertions.1.Assert.Fn::Not.0.Fn::Equals.1", "", "tokens would name another issuer than clients check"},
	{"Rules", "EndUserMessagingNeedsAnOrigination.RuleCondition.Fn::Equals.0", "${SmsProvider}", "functions could be deployed that find their settings wrong"},
	{"Rules", "EndUserMessagingNeedsAnOrigination.RuleCondition.Fn::Equals.1", "end-user-messaging", "functions could be deployed that find their settings wrong"},
	{"Rules", "EndUserMessagingNeedsAnOrigination.Assertions.0.Assert.Fn::Not.0.Fn::Equals.0", "${SmsOriginationArn}", "functions could be deployed that find their settings wrong"},
	{"Rules", "EndUserMessagingNeedsAnOrigination.Assertions.0.Assert.Fn::Not.0.Fn::Equals.1", "", "functions could be deployed that find their settings wrong"},
	{"Rules", "ADisabledEndpointNeedsADomain.RuleCondition.Fn::Equals.0", "${DefaultEndpoint}", "an API could be deployed that nothing reaches"},
	{"Rules", "ADisabledEndpointNeedsADomain.RuleCondition.Fn::Equals.1", "disabled", "an API could be deployed that nothing reaches"},
	{"Rules", "ADisabledEndpointNeedsADomain.Assertions.0.Assert.Fn::Not.0.Fn::Equals.0", "${Issuer}", "an API could be deployed that nothing reaches"},
	{"Rules", "ADisabledEndpointNeedsADomain.Assertions.0.Assert.Fn::Not.0.Fn::Equals.1", "", "an API could be deployed that nothing reaches"},

	{"Parameters", "SenderName.Default", "Countersign", "operating.md and the messages say Countersign"},
	{"Parameters", "SesConfigurationSet.Default", "", "SES would refuse to send with a set that the account doesn't have"},
	{"Parameters", "MakeSesConfigurationSet.Default", "yes", "nobody would hear of messages that come back unless they asked for it"},
	{"Parameters", "MakeSesConfigurationSet.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "Issuer.Default", "", "tokens would name an issuer that isn't the deployment"},
	{"Parameters", "BrowserOrigins.Default", "", "pages of somebody's could call an API whose owner allowed none"},
	{"Parameters", "SmsProvider.Default", "none", "functions that nobody asked to send text messages could spend the owner's money"},
	{"Parameters", "SmsProvider.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "SmsCodeDomain.Default", "", "phones would offer codes on pages that the owner didn't name"},
	{"Parameters", "SmsCodeDomain.MaxLength", message.LongestHost, "functions could be deployed that find the domain too long"},
	{"Parameters", "SmsSenderId.Default", "", "SNS would show a sender that the owner didn't choose"},
	{"Parameters", "SmsOriginationNumber.Default", "", "SNS would refuse a number that the account doesn't have"},
	{"Parameters", "SmsOriginationArn.Default", "", "the rule that asks for one would do nothing"},
	{"Parameters", "SmsMaxPrice.Default", "", "codes to dear countries would not arrive, and nobody would know why"},
	{"Parameters", "SmsConfigurationSet.Default", "", "End User Messaging would refuse a set that the account doesn't have"},
	{"Parameters", "SmsProtectConfiguration.Default", "", "End User Messaging would refuse a configuration that the account doesn't have"},
	{"Parameters", "RpId.Default", "", "keys would be enrolled for a domain that isn't the owner's"},
	{"Parameters", "RelatedOrigins.Default", "", "keys could be used on pages that the owner didn't name"},
	{"Parameters", "FipsEndpoints.Default", "false", "most regions have no such endpoints, so nobody could sign in there"},
	{"Parameters", "FipsEndpoints.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "RoutineEvents.Default", "false", "each sign-in would cost as much again"},
	{"Parameters", "RoutineEvents.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "DefaultEndpoint.Default", "enabled", "nobody could call without a domain"},
	{"Parameters", "DefaultEndpoint.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "EdgeDigests.Default", "", "nobody could call a deployment without CloudFront"},
	{"Parameters", "DomainName.Default", "", "a certificate would be required of everybody"},
	{"Parameters", "CertificateArn.Default", "", "the rule that asks for one would do nothing"},
	{"Parameters", "HostedZoneId.Default", "", "a record would be made in a zone that isn't the owner's"},
	{"Parameters", "PermissionsBoundary.Default", "", "roles would need a policy that the account doesn't have"},
	{"Parameters", "ReserveConcurrency.Default", "yes", "whoever floods the open pages would take the account's concurrency from sign-ins"},
	{"Parameters", "ReserveConcurrency.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "Architecture.Default", "arm64", "RESULTS.md's figures of cost and speed are for this"},
	{"Parameters", "Architecture.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "AlarmAddress.Default", "", "somebody would get alarms who didn't ask for them"},
	{"Parameters", "SmsSpendAlarm.Default", 50, "operating.md says 50"},
	{"Parameters", "SmsSpendAlarm.MinValue", 1, "there would be an alarm without end"},
	{"Parameters", "Tracing.Default", "PassThrough", "traces would cost money that nobody has agreed to"},
	{"Parameters", "Tracing.AllowedValues.*", judged{}, "TestAParameterTakesWhatFunctionsTake"},
	{"Parameters", "LogRetentionDays.Default", 30, "logs would be kept for ever, or be gone when they are needed"},
	{"Parameters", "LogRetentionDays.AllowedValues.*", below(0, 732), "CloudWatch would refuse it, or logs be kept for years"},
}

// forPeople reports whether only people read a value, or TestAParameterTakesWhatFunctionsTake checks it.
func forPeople(section, path string) bool {
	switch path[strings.LastIndexByte(path, '.')+1:] {
	case "Description", "ConstraintDescription", "AssertDescription", "Sid":
		return true
	case "Type", "AllowedPattern":
		return section == "Parameters"
	}
	return false
}

func TestEveryAttributeOfTheTemplateIsAsItHasToBe(t *testing.T) {
	deployed, _ := readTemplate(t)
	attributes := slices.Concat(deploymentAttributes, attributes) // rows of one resource come before those of its type
	found := map[int]bool{}
	look := func(name, kind string, in any) {
		for path, value := range leaves(in) {
			if forPeople(name, path) {
				continue
			}
			row := slices.IndexFunc(attributes, func(a attribute) bool {
				all, star := strings.CutSuffix(a.path, "*")
				return (a.in == name || a.in == kind) && (a.path == path || star && strings.HasPrefix(path, all))
			})
			if row < 0 {
				t.Errorf("%s: %s is %v, and nobody says why: add it to the table", name, path, value)
				continue
			}
			found[row] = true
			a, good := attributes[row], false
			switch want := a.want.(type) {
			case judged:
				good = true
			case func(any) bool:
				good = want(value)
			case *regexp.Regexp:
				good = want.MatchString(fmt.Sprint(value))
			default:
				good = value == want
			}
			if !good {
				t.Errorf("%s: %s is %v (%T), want %v, or %s", name, path, value, value, a.want, a.why)
			}
		}
		// An attribute of a type is required of each resource of that type. The loop above doesn't see it if it is missing.
		for _, a := range attributes {
			_, ofFunction := strings.CutPrefix(a.path, "Environment.")
			if _, star := strings.CutSuffix(a.path, "*"); a.in == kind && !star && !ofFunction {
				if _, there := leaves(in)[a.path]; !there {
					t.Errorf("%s: it has no %s, so %s", name, a.path, a.why)
				}
			}
		}
	}
	for name, r := range deployed.Resources {
		all := maps.Clone(r.Properties)
		maps.Copy(all, r.Attributes)
		maps.Copy(all, r.Metadata)
		look(name, r.Type, all)
	}
	look("Globals", "", deployed.Globals.Function)
	for name, in := range map[string]map[string]object{"Parameters": deployed.Parameters, "Rules": deployed.Rules, "Conditions": deployed.Conditions} {
		section := object{}
		for one, said := range in {
			section[one] = said
		}
		look(name, "", section)
	}
	for i, a := range attributes {
		if !found[i] {
			t.Errorf("%s: the template has no %s, so %s", a.in, a.path, a.why)
		}
	}
}

// leaves returns the values in nested maps and lists, by their paths.
func leaves(in any) map[string]any {
	found := map[string]any{}
	var walk func(path string, in any)
	walk = func(path string, in any) {
		switch in := in.(type) {
		case object:
			for name, inner := range in {
				walk(path+"."+name, inner)
			}
		case []any:
			for i, inner := range in {
				walk(path+"."+strconv.Itoa(i), inner)
			}
		default:
			found[strings.TrimPrefix(path, ".")] = in
		}
	}
	walk("", in)
	return found
}
