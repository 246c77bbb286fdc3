// Command sweep is the function that a schedule runs: it announces what has ended by itself, and tends the key ring.
package main

import "countersign/pkg/cloud"

func main() {
	cloud.Schedule("sweep", func(d *cloud.Deployment) cloud.Job {
		return d.Sweep(d.Service())
	})
}
