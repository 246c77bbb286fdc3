package emulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/infra/emulator/cloudwatch"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/template"
)

// A watch is a world whose alarms are evaluated at every minute, once for each set of assumptions. Time passes only when a test
// calls pass.
type watch struct {
	*world
	metrics  *cloudwatch.Metrics
	alarms   map[cloudwatch.Assumptions][]*cloudwatch.Alarm
	now      time.Time            // until when the alarms were evaluated
	swept    time.Time            // when the sweep has last run
	noSweeps bool                 // the schedule is disabled
	crossed  map[string]time.Time // when each alarm has last crossed, by its resource
	users    int                  // how many users were made
}

// assumptions returns each way in which CloudWatch may behave where its documentation says nothing.
func assumptions() (all []cloudwatch.Assumptions) {
	for _, extra := range []int{0, 2, 4} {
		all = append(all, cloudwatch.Assumptions{Extra: extra}, cloudwatch.Assumptions{Extra: extra, FillsNothing: true})
	}
	return all
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{metrics: &cloudwatch.Metrics{}, alarms: map[cloudwatch.Assumptions][]*cloudwatch.Alarm{}, crossed: map[string]time.Time{}}
	w.world = open(t, emulator.Options{Metrics: w.metrics})
	deployed, err := template.Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	functions, err := deployed.Functions()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"Stage": "local", "Api": "emulator", "Table": w.Table(), "SmsSpendAlarm": "1"}
	for step, f := range functions {
		values[f.Resource] = step
	}
	for _, queue := range deployed.Named("AWS::SQS::Queue") {
		values[queue+".QueueName"] = queue
	}
	for _, under := range assumptions() {
		reader := cloudwatch.Reader{Values: values, Holds: map[string]bool{"SendsTexts": true, "SendsTextsBySns": true}}
		if w.alarms[under], err = reader.Alarms(deployed); err != nil {
			t.Fatal(err)
		}
	}
	if all := deployed.Named("AWS::CloudWatch::Alarm"); len(w.alarms[cloudwatch.Assumptions{}]) != len(all) {
		t.Fatalf("%d alarms are evaluated, and the template has %d", len(w.alarms[cloudwatch.Assumptions{}]), len(all))
	}
	w.now = w.clock()
	w.sweep()
	w.policy(t)
	allowed := doc{"profile": "salto", "acknowledge": true, "methods": doc{"sms": "allowed"}, "sms": doc{"countries": []string{"GB"}}}
	w.call("PUT", "/v1/orgs/texts/policy", allowed, "If-Match", `"0"`).want(t, 200, "")
	w.pass(time.Hour) // until every period of the alarms about the sweep has a run
	return w
}

// clock returns the time of the functions.
func (w *watch) clock() time.Time {
	w.t.Helper()
	at, err := time.Parse(time.RFC3339, w.call("GET", "/local/clock", nil).want(w.t, 200, "").text("now"))
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *watch) sweep() {
	w.swept = w.clock()
	w.RunSweep(w.t.Context()) // some stories are about its failures
}

// pass lets a time pass, in which the sweep runs as often as it should, and nothing else happens. It evaluates the alarms.
func (w *watch) pass(d time.Duration) {
	w.t.Helper()
	for end := w.clock().Add(d); ; {
		next := end
		if due := w.swept.Add(15 * time.Minute); !w.noSweeps && due.Before(end) {
			next = due
		}
		// What was committed is published before the time passes, as it would be within seconds.
		w.call("GET", "/local/outbox?to=nobody", nil).want(w.t, 200, "")
		if ahead := int(next.Sub(w.clock()).Seconds()); ahead > 0 {
			w.call("POST", "/local/clock", doc{"advance_s": ahead}).want(w.t, 200, "")
		}
		w.evaluate()
		if next == end {
			return
		}
		w.sweep()
	}
}

// evaluate evaluates the alarms at each minute until now. Before that it ends all processes, so that all lines that they have
// written are read.
func (w *watch) evaluate() {
	w.t.Helper()
	for _, step := range w.Steps() {
		w.Kill(step)
	}
	end := w.clock()
	if end.Sub(w.now) > 3*time.Hour { // earlier minutes make no difference after such a long time
		w.now = end.Add(-3 * time.Hour).Truncate(time.Minute)
	}
	for ; w.now.Before(end); w.now = w.now.Add(time.Minute) {
		w.CountQueues(w.now)
		for under, all := range w.alarms {
			for _, a := range all {
				if err := a.Evaluate(w.metrics, w.now.Add(time.Minute), under); err != nil {
					w.t.Fatalf("%s: %v", a.Resource, err)
				}
				if a.State == cloudwatch.InAlarm {
					w.crossed[a.Resource] = w.now
				}
			}
		}
	}
}

// want fails the test unless an alarm has a state, whatever CloudWatch does where its documentation says nothing.
func (w *watch) want(resource, state string) {
	w.t.Helper()
	for under, all := range w.alarms {
		for _, a := range all {
			if a.Resource == resource && a.State != state {
				w.t.Errorf("%s: is %s under %+v, want %s", resource, a.State, under, state)
			}
		}
	}
}

// wantNone fails the test if an alarm has crossed since.
func (w *watch) wantNone(since time.Time) {
	w.t.Helper()
	for resource, at := range w.crossed {
		if !at.Before(since) {
			w.t.Errorf("%s has crossed", resource)
		}
	}
}

func (w *watch) fault(target, mode string, count int) {
	w.t.Helper()
	w.call("POST", "/local/faults", doc{"target": target, "mode": mode, "count": count}).want(w.t, 200, "")
}

// user returns the name of a new user.
func (w *watch) user() string {
	w.users++
	return fmt.Sprintf("user-%d", w.users)
}

// codes begins sign-ins of new users, to whom codes are sent by email, and returns their challenges.
func (w *watch) codes(n int) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for range n {
		user := w.user()
		all[user] = w.start(w.t, user)
	}
	return all
}

// wrong gives a wrong answer to a challenge several times.
func (w *watch) wrong(user, id string, times int) {
	w.t.Helper()
	code := w.code(w.t, user)
	for range times {
		w.verify(id, string('0'+(code[0]-'0'+1)%10)+code[1:])
	}
}

// texts begins enrolments of new users' phones, to which codes are sent by SMS.
func (w *watch) texts(n int) {
	w.t.Helper()
	for range n {
		w.users++
		body := doc{"org": "texts", "user": doc{"id": fmt.Sprintf("user-%d", w.users)}, "kind": "sms", "phone": fmt.Sprintf("+447%03d%06d", 400+w.users%90, w.users)}
		w.call("POST", "/v1/enrolments", body, "Countersign-Reauthenticated-At", w.clock().Format(time.RFC3339))
	}
}

// A story makes alarms cross, and clear again.
type story struct {
	alarms       []string
	cross, clear func(*watch)
}

// quiet clears alarms that end when what has caused them has ended.
func quiet(d time.Duration) func(*watch) { return func(w *watch) { w.pass(d) } }

// stories has at least one story for each alarm of the template.
func stories() []story {
	return []story{
		{
			[]string{"ChallengeErrors", "VerifyErrors", "EnrolErrors", "RecoverErrors", "AccountErrors", "PolicyErrors", "AdminErrors", "PagesErrors", "SweepErrors", "PublishErrors", "FeedbackErrors"},
			func(w *watch) {
				w.noSweeps = true // so that the runs of the sweep that fail are those of this story
				for range 2 {
					for _, step := range w.Steps() {
						w.KillAt(step, emulator.BeforeAnswer)
					}
					w.call("POST", "/v1/decisions", doc{})
					w.call("POST", "/v1/challenges/ch_x/verify", doc{})
					w.call("POST", "/v1/enrolments", doc{})
					w.call("POST", "/v1/challenges/ch_x/recover", doc{})
					w.call("GET", "/v1/orgs/acme/users/x", nil)
					w.call("GET", "/v1/orgs/acme/policy", nil)
					w.call("POST", "/v1/orgs/acme/users/x/unlock", doc{})
					w.call("GET", "/health", nil)
					w.call("POST", "/local/sweep", nil)
					w.Invoke(w.t.Context(), "publish", []byte(`{"Records":[]}`))
					w.Invoke(w.t.Context(), "feedback", []byte(`{"source":"aws.ses"}`))
					w.pass(6 * time.Minute)
				}
			},
			func(w *watch) {
				w.noSweeps = false
				w.pass(2 * time.Hour) // a function that runs seldom has few periods with data
			},
		},
		{[]string{"ApiFails"}, func(w *watch) {
			for range 3 {
				w.fault("store", "fail", 1)
				w.call("POST", "/v1/decisions", doc{"org": "acme", "user": doc{"id": "x"}}).want(w.t, 503, "unavailable")
				w.pass(4 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"ApiSlow"}, func(w *watch) {
			for range 3 {
				w.fault("email", "slow", 1)
				w.fault("store", "slow", 1)
				w.start(w.t, w.user())
				w.pass(4 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"CallsThrottled"}, func(w *watch) {
			for range 3 {
				w.Throttle("verify", 1)
				w.call("POST", "/v1/challenges/ch_x/verify", doc{}).want(w.t, 503, "Service Unavailable")
				w.pass(2 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"WorkThrottled"}, func(w *watch) {
			for range 3 {
				w.Throttle("sweep", 1)
				w.sweep()
				w.pass(2 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"TableThrottled"}, func(w *watch) {
			for range 3 {
				w.ThrottleTable(1, 1)
				w.start(w.t, w.user()) // the function tries again, so the caller notices nothing
				w.pass(2 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"PublishLate"}, func(w *watch) {
			for range 2 {
				w.Hold()
				w.start(w.t, w.user())
				w.pass(4 * time.Minute)
				w.deliver()
				w.pass(time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"PublishGaveUp"}, func(w *watch) {
			w.Hold()
			w.start(w.t, w.user())
			w.fault("events", "fail", 1000)
			w.deliver()
			w.fault("events", "fail", 0)
			w.pass(5 * time.Minute)
		}, func(w *watch) {
			w.Purge("PublishGaveUpQueue")
			w.pass(time.Hour)
		}},
		{[]string{"SweepFailed"}, func(w *watch) {
			w.Throttle("sweep", 2) // the run, and its repetition
			w.sweep()
			w.pass(5 * time.Minute)
		}, func(w *watch) {
			w.Purge("SweepFailures")
			w.pass(2 * time.Hour)
		}},
		{[]string{"FeedbackFailed"}, func(w *watch) {
			w.Throttle("feedback", 3) // the event, and its repetitions
			user := doc{"id": w.user(), "email": "bounce@simulator.amazonses.com"}
			w.call("POST", "/v1/challenges", doc{"org": "acme", "user": user}).want(w.t, 201, `"sent":{`)
			w.pass(5 * time.Minute)
		}, func(w *watch) {
			w.Purge("FeedbackFailures")
			w.pass(2 * time.Hour)
		}},
		{[]string{"SweepLate"}, func(w *watch) {
			w.noSweeps = true
			w.pass(2 * time.Hour)
		}, func(w *watch) {
			w.noSweeps = false
			w.pass(2 * time.Hour)
		}},
		{[]string{"MailRefused"}, func(w *watch) {
			for range 2 {
				w.fault("email", "fail", 1)
				w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": w.user(), "email": "x@acme.example"}})
				w.pass(6 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"SmsRefused"}, func(w *watch) {
			for range 2 {
				w.fault("sms", "fail", 1)
				w.texts(1)
				w.pass(6 * time.Minute)
			}
		}, quiet(time.Hour)},
		{[]string{"EmailUnanswered"}, func(w *watch) {
			for range 4 {
				w.codes(20)
				w.pass(15 * time.Minute)
			}
		}, quiet(3 * time.Hour)},
		{[]string{"SmsUnanswered", "SmsSpend"}, func(w *watch) {
			for range 4 {
				w.texts(22)
				w.pass(15 * time.Minute)
			}
		}, func(w *watch) {
			w.noSweeps = true // a month of runs would take long
			w.pass(32 * 24 * time.Hour)
			w.texts(1) // the new month has begun at 0
			w.noSweeps = false
			w.pass(2 * time.Hour)
		}},
		{[]string{"WrongAnswers"}, func(w *watch) {
			for range 3 {
				for user, id := range w.codes(6) {
					w.wrong(user, id, 4)
				}
				w.pass(10 * time.Minute)
			}
		}, quiet(2 * time.Hour)},
		{[]string{"Locks"}, func(w *watch) {
			var users []string
			for user, id := range w.codes(5) {
				users = append(users, user)
				w.wrong(user, id, 5)
			}
			w.pass(time.Minute)
			for _, user := range users {
				w.wrong(user, w.start(w.t, user), 5)
			}
			w.pass(10 * time.Minute)
		}, quiet(2 * time.Hour)},
		{[]string{"RingOld"}, func(w *watch) {
			w.DisableKey(true)
			w.noSweeps = true
			w.pass(33 * 24 * time.Hour)
			w.sweep()
			w.pass(5 * time.Minute)
		}, func(w *watch) {
			w.DisableKey(false)
			w.noSweeps = false
			w.Purge("SweepFailures")
			w.pass(2 * time.Hour)
		}},
	}
}

// deliver gives publish everything that was held back, in one batch.
func (w *watch) deliver() {
	w.t.Helper()
	err := w.Deliver(w.t.Context(), func(waiting []json.RawMessage) [][]json.RawMessage { return [][]json.RawMessage{waiting} })
	if err != nil {
		w.t.Fatal(err)
	}
	w.Release()
}

func TestEachAlarmCrossesAndClears(t *testing.T) {
	w := newWatch(t)
	told := map[string]bool{}
	for _, s := range stories() {
		for _, alarm := range s.alarms {
			told[alarm] = true
			w.want(alarm, map[bool]string{true: cloudwatch.OK, false: cloudwatch.InsufficientData}[alarm != "SmsSpend"])
		}
		began := w.now
		s.cross(w)
		for _, alarm := range s.alarms {
			if at := w.crossed[alarm]; at.Before(began) {
				t.Errorf("%s: it has not crossed", alarm)
			}
			w.want(alarm, cloudwatch.InAlarm)
		}
		s.clear(w)
		for _, alarm := range s.alarms {
			w.want(alarm, cloudwatch.OK)
		}
	}
	var all []string
	for _, a := range w.alarms[cloudwatch.Assumptions{}] {
		all = append(all, a.Resource)
		for _, metric := range a.Metrics() {
			if !slices.Contains(w.metrics.Names(), metric) {
				t.Errorf("%s looks at %s, which nothing has counted", a.Resource, metric)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, all) {
		t.Errorf("there are stories of %v, want one of each of %v", got, all)
	}
}

func TestAQuietDayAndUsualBusyHoursCrossNoAlarm(t *testing.T) {
	w := newWatch(t)
	began := w.now
	w.pass(24 * time.Hour)
	w.wantNone(began)
	for range 4 {
		for user, id := range w.codes(24) {
			switch {
			case strings.HasSuffix(user, "9"): // this user gives up
			case strings.HasSuffix(user, "5"): // this user mistypes the code
				w.wrong(user, id, 1)
				fallthrough
			default:
				w.verify(id, w.code(t, user)).want(t, 200, "")
			}
		}
		w.pass(15 * time.Minute)
	}
	w.pass(time.Hour)
	w.wantNone(began)
}
