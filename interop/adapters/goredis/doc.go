// Package goredis tests adapter/goredis on live servers. It has nothing to import.
package goredis
