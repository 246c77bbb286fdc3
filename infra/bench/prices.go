package main

// A price is what one unit costs.
type price struct {
	usd  float64
	unit string
	page string // the page of the price list
	seen string // the month in which somebody noted it from a copy of the page; empty if it was noted from memory
}

// pricesOf is the region and the year of the prices. Free tiers and discounts for volume are left out.
const pricesOf = "us-east-1 in 2026"

// prices are Amazon's list prices, in USD.
var prices = struct {
	api, invocation, gigabyteSecond, read, write, kms, kmsKey, busEvent, logged, metric, alarm, out, email, stored, backup price
}{
	api:            price{1.00 / 1e6, "call of an HTTP API, up to 512 KB", "https://aws.amazon.com/api-gateway/pricing/", "2025-12"},
	invocation:     price{0.20 / 1e6, "invocation of a function", "https://aws.amazon.com/lambda/pricing/", "2026-05"},
	gigabyteSecond: price{0.0000133334, "GB-second of a function on arm64", "https://aws.amazon.com/lambda/pricing/", "2026-05"},
	read:           price{0.125 / 1e6, "read request unit, on demand", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2025-07"},
	write:          price{0.625 / 1e6, "write request unit, on demand", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2025-07"},
	kms:            price{0.03 / 1e4, "request of KMS", "https://aws.amazon.com/kms/pricing/", "2026-06"},
	kmsKey:         price{1.00, "KMS key, a month", "https://aws.amazon.com/kms/pricing/", "2026-06"},
	busEvent:       price{1.00 / 1e6, "event put on a bus, up to 64 KB", "https://aws.amazon.com/eventbridge/pricing/", "2026-06"},
	logged:         price{0.50 / 1e9, "byte logged", "https://aws.amazon.com/cloudwatch/pricing/", ""},
	metric:         price{0.30, "metric of one's own, a month", "https://aws.amazon.com/cloudwatch/pricing/", ""},
	alarm:          price{0.10, "metric that an alarm looks at, a month", "https://aws.amazon.com/cloudwatch/pricing/", ""},
	out:            price{0.09 / 1e9, "byte answered to the internet", "https://aws.amazon.com/ec2/pricing/on-demand/", "2025-12"},
	email:          price{0.10 / 1e3, "email by SES", "https://aws.amazon.com/ses/pricing/", ""},
	stored:         price{0.25 / 1e9, "byte kept in the table, a month", "https://aws.amazon.com/dynamodb/pricing/on-demand/", ""},
	backup:         price{0.20 / 1e9, "byte under point-in-time recovery, a month", "https://aws.amazon.com/dynamodb/pricing/on-demand/", ""},
}
