// Package cloud runs the service's parts as Lambda functions. It is everything that says AWS, except the table.
//
// A function is a main of a few lines, which builds what it needs of a [Deployment]:
//
//	func main() {
//		cloud.Serve("challenge", func(d *cloud.Deployment) http.Handler {
//			s := d.Service()
//			s.Mail = d.Mail()
//			return api.New(d.Door(), api.Challenge(s))
//		})
//	}
//
//	func main() {
//		cloud.Stream("publish", func(d *cloud.Deployment) cloud.Deliver {
//			s := d.Service()
//			s.Mail, s.Bus = d.Mail(), d.Bus()
//			return s.Publish
//		})
//	}
//
//	func main() {
//		cloud.Schedule("sweep", func(d *cloud.Deployment) cloud.Job { return d.Sweep(d.Service()) })
//	}
//
// What a function doesn't ask for is neither required of its environment nor linked into it. For the same reason KMS,
// SES and EventBridge are called by hand, one operation or two each, with the SDK's signer: their clients would make
// the function that starts a challenge larger by a tenth, which every cold start pays for.
//
// What it keeps:
//
//   - A function that isn't configured says so when it starts, by the names of the settings, and lets nobody in: each call
//     is answered as unavailable, each batch and each run fails.
//   - Where a request came from is read from what API Gateway says of it, never from a header.
//   - A connection is trusted if Amazon's roots or else the system's vouch for its host. One of both, in full, always does.
//   - A message that SES may have taken is not handed over again. An event is put on the bus until the bus has taken it.
//   - The attempts of one call end before the function's time does, and nothing works on after the answer.
//   - No log line, metric or error holds a secret, an address, an id of a user, or what a provider said in free text.
//
// Its settings are those of [Deployment]. It refuses to look for others: no files, no metadata service, no proxies.
package cloud
