// Package redigo tests adapter/redigo on live servers. It has nothing to import.
package redigo
