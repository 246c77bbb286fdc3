// Package cloud runs the service's parts as Lambda functions. Everything that is specific to AWS is in this package and those
// below it, except the table.
//
// The main of a function has a few lines. It makes what the function needs from a [Deployment]:
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
// A function needs settings only for what it uses, and links only that. This is why each client of the SDK has a package of its
// own below this one:
//
//	keyring      KMS, which wraps the key ring
//	email        SES
//	textmessage  SNS, and End User Messaging
//	eventbus     EventBridge
//
// What the package guarantees:
//
//   - If settings are missing or wrong, the function logs their names when it starts, and lets nobody in: each call is answered
//     as unavailable, and each batch, each run and each event fails.
//   - The address that a request came from is what API Gateway says it is. It is never read from a header.
//   - A connection is trusted only if the certificate of its host is fully verified, either with Amazon's roots or with the
//     system's.
//   - A message that a provider may have taken is not handed over again: see [Courier].
//   - The attempts of one call end before the function's time ends, and no work goes on after the answer.
//   - No log line, metric or error holds a secret, an address, an id of a user, or what a provider said in free text.
//
// The settings are those that are listed at [Deployment]. The package reads no others: it uses no files, no metadata service and
// no proxies.
package cloud
