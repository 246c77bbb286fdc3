// Command publish is the function that follows the table's stream: it hands on what was committed, to the bus and to users.
package main

import "countersign/pkg/cloud"

func main() {
	cloud.Stream("publish", func(d *cloud.Deployment) cloud.Deliver {
		s := d.Service()
		s.Mail, s.Bus = d.Mail(), d.Bus()
		return s.Publish
	})
}
