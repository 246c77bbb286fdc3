// Command sweep is the function that a schedule runs. It announces what has ended by itself, and rotates the key ring.
package main

import "countersign/pkg/cloud"

func main() {
	cloud.Schedule("sweep", func(d *cloud.Deployment) cloud.Job {
		return d.Sweep(d.Service())
	})
}
