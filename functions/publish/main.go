// Command publish is the function that reads the table's stream. It hands on what was committed to the activity, the bus and users.
package main

import "countersign/pkg/cloud"

func main() {
	cloud.Stream("publish", func(d *cloud.Deployment) cloud.Deliver {
		s := d.Service()
		s.Mail, s.Bus = d.Mail(), d.Bus()
		return s.Publish
	})
}
