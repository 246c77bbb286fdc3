// Package cloud runs the service's parts as Lambda functions. This package and those below it are everything that speaks of
// AWS, except the table.
//
// A function is a main of a few lines, which builds what it needs of a [Deployment]:
//
//	func main() {
//		cloud.Serve("challenge", func(d *cloud.Deployment) http.Handler {
//			s := d.Service()
//			s.Keys, s.Mail = keyring.Of(d), email.Of(d)
//			return api.New(d.Door(), api.Challenge(s))
//		})
//	}
//
//	func main() {
//		cloud.Stream("publish", func(d *cloud.Deployment) cloud.Deliver {
//			s := d.Service()
//			s.Mail, s.Bus = email.Of(d), cloud.Counting(eventbus.Of(d))
//			return s.Publish
//		})
//	}
//
//	func main() {
//		cloud.Schedule("sweep", func(d *cloud.Deployment) cloud.Job {
//			s, keys := d.Service(), keyring.Of(d)
//			s.Keys = keys
//			return d.Sweep(s, keys)
//		})
//	}
//
//	func main() {
//		cloud.Feedback("feedback", func(d *cloud.Deployment) cloud.Hear { return d.Service().TakeFeedback })
//	}
//
// What a function doesn't ask for is not required of its environment, and not linked into it. That is why each client of the SDK
// has a package of its own below this one:
//
//	keyring      KMS, which wraps the key ring
//	email        SES
//	textmessage  SNS, and End User Messaging
//	eventbus     EventBridge
//
// What it keeps:
//
//   - A function that isn't configured says so when it starts, by the names of the settings, and lets nobody in: each call
//     is answered as unavailable, each batch, each run and each event fails.
//   - Where a request came from is read from what API Gateway says of it, never from a header.
//   - A connection is trusted if Amazon's roots or else the system's vouch for its host. One of both, in full, always does.
//   - A message that a provider may have taken is not handed over again: see [Courier].
//   - The attempts of one call end before the function's time does, and nothing works on after the answer.
//   - No log line, metric or error holds a secret, an address, an id of a user, or what a provider said in free text.
//
// Its settings are those of [Deployment]. It refuses to look for others: no files, no metadata service, no proxies.
package cloud
