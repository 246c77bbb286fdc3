// Command publish is the function that reads the table's stream. It hands on what was committed to the activity, the bus and users.
package main

import (
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/eventbus"
	"countersign/pkg/cloud/textmessage"
)

func main() {
	cloud.Stream("publish", func(d *cloud.Deployment) cloud.Deliver {
		s := d.Service()
		s.Mail, s.Text, s.Bus = email.Of(d), textmessage.Of(d), cloud.Counting(eventbus.Of(d))
		return s.Publish
	})
}
