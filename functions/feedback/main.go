// Command feedback is the function that EventBridge calls when SES says that a message came back. It notes that in the user's
// records.
package main

import "countersign/pkg/cloud"

func main() {
	cloud.Feedback("feedback", func(d *cloud.Deployment) cloud.Hear { return d.Service().TakeFeedback })
}
