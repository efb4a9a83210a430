// Go's marker on the shapes of gcruntime/gc/mark_bench.cc: the same graphs, the same sizes, the same random
// numbers. Prints MB (1e6) of live slots per second of one core's marking time, the best of the rounds.
//
// Marking time is the smaller of what the runtime says its mark workers and assists took, which includes
// whatever the machine took from them, and the CPU time of the process in runtime.GC(), which includes the
// sweep: both err against Go, so the smaller one is taken.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

type node struct { // 64 bytes
	links  [4]*node
	values [4]int64
}

type tree64 struct { // 64 bytes
	left, right *tree64
	values      [6]int64
}

type tree32 struct { // 32 bytes
	left, right *tree32
	values      [2]int64
}

// splitmix64, as the other side has it.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func makeRandom(mib int) *node {
	nodes := make([]*node, mib<<20/64)
	for i := range nodes {
		nodes[i] = new(node)
	}
	numbers := random{1}
	for _, each := range nodes {
		for i := range each.links {
			each.links[i] = nodes[numbers.next()%uint64(len(nodes))]
		}
	}
	return nodes[0]
}

func makeTree64(depth int) *tree64 {
	each := new(tree64)
	if depth > 1 {
		each.left = makeTree64(depth - 1)
		each.right = makeTree64(depth - 1)
	}
	return each
}

func makeTree32(depth int) *tree32 {
	each := new(tree32)
	if depth > 1 {
		each.left = makeTree32(depth - 1)
		each.right = makeTree32(depth - 1)
	}
	return each
}

func depthFor(nodes int) int {
	depth := 0
	for 1<<(depth+1) <= nodes {
		depth++
	}
	return depth
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fmt.Fprintln(os.Stderr, "getrusage:", err)
		os.Exit(1)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func markTime() time.Duration {
	samples := []metrics.Sample{
		{Name: "/cpu/classes/gc/mark/dedicated:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"},
	}
	metrics.Read(samples)
	seconds := 0.0
	for _, each := range samples {
		seconds += each.Value.Float64()
	}
	return time.Duration(seconds * 1e9)
}

func main() {
	shape := flag.String("shape", "random", "random, tree64 or tree32")
	mib := flag.Int("mib", 512, "MiB of objects")
	rounds := flag.Int("rounds", 5, "how often the heap is marked")
	flag.Parse()
	debug.SetGCPercent(-1)

	var live any
	switch *shape {
	case "random":
		live = makeRandom(*mib)
	case "tree64":
		live = makeTree64(depthFor(*mib << 20 / 64))
	case "tree32":
		live = makeTree32(depthFor(*mib << 20 / 32))
	default:
		fmt.Fprintln(os.Stderr, "no such shape:", *shape)
		os.Exit(2)
	}
	runtime.GC() // frees what building left, and ends the sweep of it
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	best := time.Duration(0)
	for i := 0; i < *rounds; i++ {
		cpu, mark := cpuTime(), markTime()
		runtime.GC()
		cpu, mark = cpuTime()-cpu, markTime()-mark
		if mark > 0 && mark < cpu {
			cpu = mark
		}
		if best == 0 || cpu < best {
			best = cpu
		}
	}
	runtime.KeepAlive(live)
	fmt.Printf("shape=%s markers=1 live_mb=%.1f mb_per_core_s=%.1f\n", *shape,
		float64(stats.HeapAlloc)/1e6, float64(stats.HeapAlloc)/1e6/best.Seconds())
}
