// Package line writes what every arm writes: one JSON line per observation, see ../../programs/report.py.
package line

import (
	"bufio"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

var (
	mutex  sync.Mutex
	output = bufio.NewWriter(os.Stdout)
)

// Now is CLOCK_MONOTONIC in nanoseconds, the clock of Python's time.monotonic_ns: time.Now() has another origin.
func Now() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

// Tell writes one observation: a list of so many endpoints is known, and the newest version in it.
func Tell(ns int64, version string, endpoints int) {
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Fprintf(output, "{\"ns\": %d, \"version\": \"%s\", \"endpoints\": %d}\n", ns, version, endpoints)
	output.Flush()
}
