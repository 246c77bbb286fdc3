package functions

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/infra/emulator/template"
)

// deploymentAttributes are the attributes of the template that say how a release is deployed.
var deploymentAttributes = []attribute{
	{"DeployRole", "AssumeRolePolicyDocument.Statement.*", judged{}, "TestCodeDeployMayMoveTheAliasesOfTheFunctionsAndNothingElse"},
	{"DeployRole", "Policies.*", judged{}, "TestCodeDeployMayMoveTheAliasesOfTheFunctionsAndNothingElse"},
	{"Settings", "Name", "countersign-${Stage}", "stages would have one name"},
	{"SettingsProfile", "ApplicationId", "${Settings}", "the settings would have no number"},
	{"SettingsProfile", "Name", "settings", "people would not know what it is for"},
	{"SettingsProfile", "LocationUri", "hosted", "the settings would be read from somewhere else"},
	{"SettingsVersion", "ApplicationId", "${Settings}", "the settings would have no number"},
	{"SettingsVersion", "ConfigurationProfileId", "${SettingsProfile}", "the settings would have no number"},
	{"SettingsVersion", "ContentType", "text/plain", "AppConfig would check it as JSON"},
	{"SettingsVersion", "Content", judged{}, "TestAChangedParameterPublishesAVersionOfEachFunctionThatGetsIt"},
	{"Globals", "AutoPublishAlias", "live", "operating.md and the role of CodeDeploy name this alias"},
	{"Globals", "DeploymentPreference.Type", "${Deployment}", "the parameter would do nothing"},
	{"Globals", "DeploymentPreference.Role", "${DeployRole.Arn}", "SAM would make a role that may change every alias and read every bucket of the account"},
	{"AWS::Serverless::Function", "AutoPublishAliasAllProperties", true, "a change of the template would not reach the version that is called"},
	{"AWS::Serverless::Function", "VersionDescription", "Settings ${SettingsVersion.VersionNumber}", "a changed parameter would not reach the version that is called"},
	{"AWS::Serverless::Function", "DeploymentPreference.Alarms.*", judged{}, "TestEachFunctionIsCalledByAnAliasThatCodeDeployMoves"},
	{"Conditions", "ShiftsSlowly.Fn::Not.0.Fn::Equals.0", "${Deployment}", "no alarm would stop a release, or a release that ends an outage could not be deployed"},
	{"Conditions", "ShiftsSlowly.Fn::Not.0.Fn::Equals.1", "AllAtOnce", "no alarm would stop a release, or a release that ends an outage could not be deployed"},
	{"Parameters", "Deployment.Default", "AllAtOnce", "a first try of a change would take as long as a release"},
	{"Parameters", "Deployment.AllowedValues.*", judged{}, "TestEachFunctionIsCalledByAnAliasThatCodeDeployMoves"},
}

// translated returns the resources that SAM makes of the template for a build, with values for parameters ("Name=value").
func translated(t *testing.T, build string, parameters ...string) map[string]template.Resource {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(samFolder(t), "bin", "python"), append([]string{"infra/sam-lint/translate.py", build}, parameters...)...)
	command.Dir, command.Env = "..", samEnvironment(t)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("translate.py: %v", err)
	}
	var said struct {
		Resources map[string]struct {
			Type, DeletionPolicy string
			Properties           object
			UpdatePolicy         object
		}
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatal(err)
	}
	all := map[string]template.Resource{}
	for name, r := range said.Resources {
		all[name] = template.Resource{Type: r.Type, Properties: r.Properties, Attributes: object{"UpdatePolicy": r.UpdatePolicy}}
	}
	return all
}

// compact returns a value as JSON.
func compact(t *testing.T, in any) string {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// only returns the name of the one resource of a type that is of a function.
func only(t *testing.T, all map[string]template.Resource, kind, function string) string {
	t.Helper()
	var found []string
	for name, r := range all {
		if r.Type == kind && compact(t, r.Properties["FunctionName"]) == `{"Ref":"`+function+`"}` {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d of %s, want 1", function, len(found), kind)
	}
	return found[0]
}

func TestEachFunctionIsCalledByAnAliasThatCodeDeployMoves(t *testing.T) {
	deployed, functions := readTemplate(t)
	kinds := template.Several(deployed.Parameters["Deployment"]["AllowedValues"])
	for _, kind := range kinds {
		if !slices.Contains(predefined, kind) {
			t.Errorf("%s is not a configuration of CodeDeploy", kind)
		}
	}
	released, _ := prodDeployment(t)
	for _, kind := range []string{"AllAtOnce", released} {
		if !slices.Contains(kinds, kind) {
			t.Fatalf("Deployment may be %v, want %s among them", kinds, kind)
		}
		all := translated(t, "a", "Deployment="+kind)
		for step, f := range functions {
			version := only(t, all, "AWS::Lambda::Version", f.Resource)
			alias := all[only(t, all, "AWS::Lambda::Alias", f.Resource)]
			if got := alias.Properties["Name"]; got != "live" {
				t.Errorf("%s: its alias is %v, want live", step, got)
			}
			if got, want := compact(t, alias.Properties["FunctionVersion"]), `{"Fn::GetAtt":["`+version+`","Version"]}`; got != want {
				t.Errorf("%s: its alias points to %s, want %s", step, got, want)
			}
			group := fmt.Sprint(template.Of(alias.Attributes, "UpdatePolicy", "CodeDeployLambdaAliasUpdate", "DeploymentGroupName", "Ref"))
			said := all[group].Properties
			for path, want := range map[string]string{
				"ServiceRoleArn":            `{"Fn::GetAtt":["DeployRole","Arn"]}`,
				"DeploymentConfigName":      `{"Fn::Sub":["CodeDeployDefault.Lambda${ConfigName}",{"ConfigName":"` + kind + `"}]}`,
				"AutoRollbackConfiguration": `{"Enabled":true,"Events":["DEPLOYMENT_FAILURE","DEPLOYMENT_STOP_ON_ALARM","DEPLOYMENT_STOP_ON_REQUEST"]}`,
				"DeploymentStyle":           `{"DeploymentOption":"WITH_TRAFFIC_CONTROL","DeploymentType":"BLUE_GREEN"}`,
			} {
				if got := compact(t, said[path]); got != want {
					t.Errorf("%s: the %s of its group is %s, want %s", step, path, got, want)
				}
			}
			checkAlarms(t, deployed, step, said["AlarmConfiguration"])
		}
		for name, r := range all {
			if r.Type == "AWS::IAM::Role" && strings.HasPrefix(name, "CodeDeploy") {
				t.Errorf("SAM makes the role %s, which may change every alias of the account", name)
			}
		}
	}
}

// predefined are the configurations that SAM knows, of those that CodeDeploy has for Lambda.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/automating-updates-to-serverless-apps.html
var predefined = []string{
	"AllAtOnce", "Canary10Percent5Minutes", "Canary10Percent10Minutes", "Canary10Percent15Minutes", "Canary10Percent30Minutes",
	"Linear10PercentEvery1Minute", "Linear10PercentEvery2Minutes", "Linear10PercentEvery3Minutes", "Linear10PercentEvery10Minutes",
}

// prodDeployment returns the value of Deployment that samconfig.toml gives to prod, and for how long its canary gets a share of
// the calls.
func prodDeployment(t *testing.T) (kind string, lasts time.Duration) {
	t.Helper()
	text, err := os.ReadFile("../samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, prod, _ := strings.Cut(string(text), "[prod.global.parameters]")
	m := regexp.MustCompile(`"Deployment=(Canary10Percent(\d+)Minutes)"`).FindStringSubmatch(prod)
	if m == nil {
		t.Fatal("prod has no canary in samconfig.toml")
	}
	minutes, _ := strconv.Atoi(m[2])
	return m[1], time.Duration(minutes) * time.Minute
}

func TestACanaryLastsUntilItsAlarmsHaveHadTheTimeToCross(t *testing.T) {
	deployed, functions := readTemplate(t)
	_, lasts := prodDeployment(t)
	for step, f := range functions {
		for _, name := range template.Several(template.Of(f.Properties, "DeploymentPreference", "Alarms", "Fn::If").([]any)[1]) {
			said := deployed.Resources[template.Reference(name)].Properties
			period, _ := said["Period"].(int)
			metrics, _ := said["Metrics"].([]any)
			for _, m := range metrics {
				if p, ok := template.Of(m, "MetricStat", "Period").(int); ok {
					period = p
				}
			}
			points, _ := said["DatapointsToAlarm"].(int)
			// The first period has begun before the canary has.
			if needs := time.Duration((points+1)*period) * time.Second; points == 0 || period == 0 || needs > lasts {
				t.Errorf("%s: %s needs %s to cross, and a canary lasts %s", step, name, needs, lasts)
			}
		}
	}
}

// checkAlarms checks the alarms that take a release of a function back: those of its own errors and of the API.
func checkAlarms(t *testing.T, deployed *template.Template, step string, in any) {
	t.Helper()
	sides, _ := template.Of(in, "Fn::If").([]any)
	if len(sides) != 3 || sides[0] != "ShiftsSlowly" || compact(t, sides[2]) != "{}" {
		t.Errorf("%s: its group watches %s, want alarms unless the release is deployed at once", step, compact(t, in))
		return
	}
	var steps []string
	alarms, _ := template.Of(sides[1], "Alarms").([]any)
	for _, a := range alarms {
		alarm := deployed.Resources[fmt.Sprint(template.Of(a, "Name", "Ref"))]
		name, _ := strings.CutPrefix(fmt.Sprint(alarm.Properties["AlarmName"]), "countersign-${Stage}-")
		if alarm.Type != "AWS::CloudWatch::Alarm" {
			t.Errorf("%s: its group watches %s, which is no alarm of the template", step, compact(t, a))
		}
		steps = append(steps, name)
	}
	if template.Of(sides[1], "Enabled") != true || len(alarms) > 10 || !slices.Contains(steps, "errors-"+step) || !slices.Contains(steps, "api-fails") {
		t.Errorf("%s: its group watches %v, want up to 10 alarms, with errors-%s and api-fails among them", step, steps, step)
	}
}

func TestNothingCallsAFunctionByItsNameAlone(t *testing.T) {
	_, functions := readTemplate(t)
	all := translated(t, "a")
	for _, f := range functions {
		bare := regexp.MustCompile(`\{"Ref":"` + f.Resource + `"\}|\{"Fn::GetAtt":\["` + f.Resource + `","Arn"\]\}|\$\{` + f.Resource + `(\.Arn)?\}(:live)?`)
		for name, r := range all {
			for _, found := range bare.FindAllString(compact(t, r.Properties), -1) {
				qualified := strings.HasSuffix(found, ":live") || r.Properties["Qualifier"] == "live"
				switch r.Type {
				case "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard":
					continue // they name a function, and don't call it; its metrics count the calls of all its versions
				}
				if name != "DeployRole" && !qualified {
					t.Errorf("%s (%s) has %s, want the alias", name, r.Type, found)
				}
			}
		}
		only(t, all, "AWS::Lambda::Alias", f.Resource)
	}
	for name, want := range map[string]string{
		"PublishFunctionStream": "FunctionName", "SweepFunctionSchedule": "Target", "FeedbackFunctionReturned": "Targets",
		"FeedbackFunctionReturnedPermission": "FunctionName", "SweepFunctionScheduleRole": "Policies", "VerifyPermission": "FunctionName",
	} {
		if got := compact(t, all[name].Properties[want]); !regexp.MustCompile(`\{"Ref":"\w+FunctionAliaslive"\}`).MatchString(got) {
			t.Errorf("%s of %s is %s, want an alias", want, name, got)
		}
	}
}

// uses adds to found the parameters that decide about a value: those that it names, and those of the conditions that it has.
func uses(deployed *template.Template, in any, found map[string]bool) {
	switch in := in.(type) {
	case object:
		if sides, ok := in["Fn::If"].([]any); ok {
			uses(deployed, deployed.Conditions[fmt.Sprint(sides[0])], found)
		}
		if name, ok := in["Condition"].(string); ok {
			uses(deployed, deployed.Conditions[name], found)
		}
		for _, inner := range in {
			uses(deployed, inner, found)
		}
	case []any:
		for _, inner := range in {
			uses(deployed, inner, found)
		}
	case string:
		for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(in, -1) {
			if deployed.Parameters[m[1]] != nil {
				found[m[1]] = true
			}
		}
	}
}

func TestAChangedParameterPublishesAVersionOfEachFunctionThatGetsIt(t *testing.T) {
	deployed, functions := readTemplate(t)
	get, numbered := map[string]bool{}, map[string]bool{}
	uses(deployed, deployed.Globals.Function, get)
	for step, f := range functions {
		for part, said := range f.Properties {
			// What is not in this list is in a function's version.
			if !slices.Contains([]string{"ReservedConcurrentExecutions", "Events", "EventInvokeConfig", "DeploymentPreference"}, part) {
				uses(deployed, said, get)
			}
		}
		if got := fmt.Sprint(f.Properties["Description"]); !strings.HasSuffix(got, " Settings ${SettingsVersion.VersionNumber}.") {
			t.Errorf("%s: its description is %q. Lambda publishes no version of a function that hasn't changed", step, got)
		}
	}
	delete(get, "Deployment") // it decides about deployments, and no function gets it
	uses(deployed, deployed.Resources["SettingsVersion"].Properties["Content"], numbered)
	for name := range deployed.Parameters {
		if get[name] != numbered[name] {
			t.Errorf("%s: functions get it: %t, and it is in the content of SettingsVersion: %t", name, get[name], numbered[name])
		}
	}
	before, after := translated(t, "a"), translated(t, "b")
	for step, f := range functions {
		old, new := only(t, before, "AWS::Lambda::Version", f.Resource), only(t, after, "AWS::Lambda::Version", f.Resource)
		if old == new {
			t.Errorf("%s: another build publishes no version", step)
		}
		if got := compact(t, before[old].Properties["Description"]); got != `{"Fn::Sub":"Settings ${SettingsVersion.VersionNumber}"}` {
			t.Errorf("%s: its version has the description %s, want the number of the settings", step, got)
		}
	}
}

func TestCodeDeployMayMoveTheAliasesOfTheFunctionsAndNothingElse(t *testing.T) {
	deployed, functions := readTemplate(t)
	said := deployed.Resources["DeployRole"].Properties
	const trust = `{"Statement":[{"Action":"sts:AssumeRole","Condition":{` +
		`"ArnLike":{"aws:SourceArn":"arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:*"},` +
		`"StringEquals":{"aws:SourceAccount":"${AWS::AccountId}"}},"Effect":"Allow","Principal":{"Service":"codedeploy.amazonaws.com"}}],"Version":"2012-10-17"}`
	if got := compact(t, said["AssumeRolePolicyDocument"]); got != trust {
		t.Errorf("got %s\nwant %s", got, trust)
	}
	policies, _ := said["Policies"].([]any)
	if len(policies) != 1 {
		t.Fatalf("%d policies, want 1", len(policies))
	}
	statements, _ := template.Of(policies[0], "PolicyDocument", "Statement").([]any)
	if len(statements) != 2 {
		t.Fatalf("%d statements, want 2", len(statements))
	}
	var aliases []string
	for _, f := range functions {
		aliases = append(aliases, "${"+f.Resource+".Arn}", "${"+f.Resource+".Arn}:live")
	}
	same(t, "the functions that CodeDeploy may move", template.Several(template.Of(statements[0], "Resource")), "template.yaml", aliases)
	if got := compact(t, template.Of(statements[0], "Action")); got != `["lambda:GetAlias","lambda:UpdateAlias","lambda:GetProvisionedConcurrencyConfig"]` {
		t.Errorf("it may %s with functions", got)
	}
	const watch = `{"Action":"cloudwatch:DescribeAlarms","Effect":"Allow",` +
		`"Resource":"arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:countersign-${Stage}-*","Sid":"Watch"}`
	if got := compact(t, statements[1]); got != watch {
		t.Errorf("got %s\nwant %s", got, watch)
	}
}
