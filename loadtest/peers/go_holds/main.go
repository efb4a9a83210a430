// How long Go's garbage collector stops the program of gcruntime/hold_bench.cc: the same live trees, parked
// goroutines, garbage and cycles back to back, under the same keys. Prints the same lines: pauses as
// histograms of the runtime (kind=total: from when the stop is asked for until all run again;
// kind=stopping: until all stand), and the times of forced cycles.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	treeDepth = 10 // 1023 nodes, 64 KiB
	treeBytes = 64 << treeDepth
	frames    = 6  // of a parked goroutine
	chainLen  = 64 // nodes of garbage a turn
	turnBytes = chainLen*64 + 7*64 + 1024
	mostDebt  = 20 * time.Millisecond // of garbage, which is made up for
)

type node struct { // 64 bytes
	links  [2]*node
	values [6]int64
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

func (r *random) below(bound int) int { return int(r.next() % uint64(bound)) }

func grow(depth int) *node {
	tree := new(node)
	if depth > 1 {
		tree.links[0] = grow(depth - 1)
		tree.links[1] = grow(depth - 1)
	}
	return tree
}

func sum(tree *node, depth int) int64 {
	if tree == nil || depth == 0 {
		return 0
	}
	return tree.values[0] + sum(tree.links[0], depth-1) + sum(tree.links[1], depth-1)
}

// A goroutine that waits on its channel in the innermost of some frames; each of them holds a node.
//
//go:noinline
func waitInFrames(line chan int64, held *node, left int) int64 {
	var own [16]int64
	result := int64(0)
	if left == 0 {
		for word := range line {
			result += word + held.values[0]
		}
	} else {
		result = waitInFrames(line, held.links[left&1], left-1)
	}
	own[result&15] = result
	runtime.KeepAlive(held)
	return own[0]
}

var bufferSink atomic.Pointer[[1024]byte] // so that it is on the heap

type service struct {
	forest   []*node
	lines    []chan int64
	churners int
	rate     int
	busy     bool
	stopped  atomic.Bool
	churn    sync.WaitGroup
	parked   sync.WaitGroup
}

func newService(mib, parked, workers, rate int, busy bool) *service {
	s := &service{churners: workers * 2, rate: rate, busy: busy}
	s.forest = make([]*node, max(mib<<20/treeBytes, s.churners*2))
	for i := range s.forest {
		s.forest[i] = grow(treeDepth)
	}
	s.lines = make([]chan int64, parked)
	for i := range s.lines {
		s.lines[i] = make(chan int64, 1)
	}
	return s
}

func (s *service) start() {
	for i, line := range s.lines {
		s.parked.Add(1)
		go func() {
			defer s.parked.Done()
			waitInFrames(line, s.forest[i%len(s.forest)], frames)
		}()
	}
	for i := 0; i < s.churners; i++ {
		s.churn.Add(1)
		go func() {
			defer s.churn.Done()
			s.run(i)
		}()
	}
}

func (s *service) stop() {
	s.stopped.Store(true)
	s.churn.Wait()
	for _, line := range s.lines {
		close(line)
	}
	s.parked.Wait()
}

// A link in one of the churner's own trees, `depth` links down. No two churners write to the same one.
func (s *service) place(churner int, nth uint64, depth int, numbers *random) **node {
	own := uint64((len(s.forest)-churner-1)/s.churners + 1)
	link := &s.forest[churner+int(nth%own)*s.churners]
	for ; depth > 0; depth-- {
		link = &(*link).links[numbers.next()&1]
	}
	return link
}

// Two branches of two trees change places, and one of them is walked over.
func (s *service) relink(churner int, numbers *random) int64 {
	nth := numbers.next() >> 1
	depth := 1 + numbers.below(5)
	one := s.place(churner, nth, depth, numbers)
	other := s.place(churner, nth+1, depth, numbers)
	branch := *one
	*one = *other
	*other = branch
	return sum(branch, 4)
}

func (s *service) makeGarbage(churner int, numbers *random) {
	var chain *node
	for i := 0; i < chainLen; i++ {
		each := new(node)
		each.links[0] = chain
		chain = each
	}
	bufferSink.Store(new([1024]byte))
	*s.place(churner, numbers.next(), treeDepth-3, numbers) = grow(3)
	if numbers.below(8) == 0 {
		answers := make(chan *node, 1)
		go func() {
			answer := new(node)
			answer.links[1] = chain
			answers <- answer
		}()
		chain = <-answers
	}
	if numbers.below(8) == 0 && len(s.lines) > 0 {
		select {
		case s.lines[numbers.below(len(s.lines))] <- 1:
		default:
		}
	}
	runtime.KeepAlive(chain)
}

var sink atomic.Int64

func (s *service) run(churner int) {
	numbers := random{uint64(churner + 1)}
	turn := time.Duration(turnBytes * 1000 * s.churners / s.rate)
	begin := time.Now()
	due, total := time.Duration(0), int64(0)
	for !s.stopped.Load() {
		now := time.Since(begin)
		if due <= now {
			s.makeGarbage(churner, &numbers)
			due = max(due+turn, now-mostDebt)
		} else {
			total += s.relink(churner, &numbers)
			if !s.busy {
				time.Sleep(time.Millisecond)
			}
		}
		if numbers.below(16) == 0 {
			runtime.Gosched()
		}
	}
	sink.Add(total)
}

// What the runtime counted so far.
func pauses() []*metrics.Float64Histogram {
	samples := []metrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/sched/pauses/stopping/gc:seconds"},
	}
	metrics.Read(samples)
	result := []*metrics.Float64Histogram{}
	for _, each := range samples {
		if each.Value.Kind() != metrics.KindFloat64Histogram {
			fmt.Fprintln(os.Stderr, "this Go does not know", each.Name)
			os.Exit(1)
		}
		result = append(result, each.Value.Float64Histogram())
	}
	return result
}

func printPauses(kind string, before, after *metrics.Float64Histogram) {
	longest := int64(0)
	for i := range after.Counts {
		count := after.Counts[i] - before.Counts[i]
		if count == 0 {
			continue
		}
		low, high := after.Buckets[i], after.Buckets[i+1]
		if math.IsInf(low, -1) {
			low = 0
		}
		if math.IsInf(high, 1) {
			high = low
		}
		longest = int64(high * 1e9)
		fmt.Printf("bucket kind=%s preempted=0 low=%d high=%d count=%d\n", kind, int64(low*1e9), longest, count)
	}
	fmt.Printf("max kind=%s preempted=0 ns=%d\n", kind, longest)
}

func printCycle(beside string, length time.Duration) {
	fmt.Printf("cycle beside=%s ns=%d\n", beside, length.Nanoseconds())
}

func collect() time.Duration {
	begin := time.Now()
	runtime.GC()
	return time.Since(begin)
}

func measureHolds(cycles int) {
	var memBefore, memAfter runtime.MemStats
	runtime.ReadMemStats(&memBefore)
	before, begin := pauses(), time.Now()
	for i := 0; i < cycles; i++ {
		printCycle("churn", collect())
		time.Sleep(2 * time.Millisecond)
	}
	after, seconds := pauses(), time.Since(begin).Seconds()
	runtime.ReadMemStats(&memAfter)
	printPauses("total", before[0], after[0])
	printPauses("stopping", before[1], after[1])
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	fmt.Printf("run cycles=%d seconds=%.2f live_mb=%.1f mb_per_s=%.1f\n", memAfter.NumGC-memBefore.NumGC, seconds,
		float64(live[0].Value.Uint64())/1e6, float64(memAfter.TotalAlloc-memBefore.TotalAlloc)/1e6/seconds)
}

//go:noinline
func spin(turns uint64) uint64 {
	x := uint64(88172645463325252)
	for i := uint64(0); i < turns; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func turnsFor(length time.Duration) uint64 {
	const turns = 1_000_000
	best := time.Duration(math.MaxInt64)
	for i := 0; i < 10; i++ {
		begin := time.Now()
		sink.Add(int64(spin(turns)))
		best = min(best, time.Since(begin))
	}
	return uint64(float64(length) * turns / float64(best))
}

func measureSpin(cycles, seconds int) {
	length := time.Duration(seconds) * time.Second
	if seconds == 0 {
		length = 50 * time.Millisecond
	}
	turns, rest := turnsFor(length), length/50
	for with, without := 0, 0; with < cycles || without < cycles; {
		var state atomic.Int32
		go func() {
			state.Store(1)
			sink.Add(int64(spin(turns)))
			state.Store(2)
		}()
		for state.Load() == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		before := pauses()
		for {
			took := collect()
			if state.Load() == 2 { // one that the goroutine's end fell into does not count
				break
			}
			printCycle("spinner", took)
			with++
			time.Sleep(rest)
		}
		after := pauses()
		printPauses("spinner", before[0], after[0])
		before = after
		for begin := time.Now(); time.Since(begin) < length; {
			printCycle("none", collect())
			without++
			time.Sleep(rest)
		}
		printPauses("none", before[0], pauses()[0])
	}
}

func main() {
	mib := flag.Int("mib", 10, "MiB of live trees")
	cycles := flag.Int("cycles", 200, "forced cycles")
	parked := flag.Int("parked", 10000, "parked goroutines")
	workers := flag.Int("workers", 3, "GOMAXPROCS")
	rate := flag.Int("rate", 300, "MB/s of garbage")
	seconds := flag.Int("seconds", 2, "that a goroutine spins")
	mode := "none"
	if len(os.Args) > 1 {
		mode = os.Args[1]
		os.Args = append(os.Args[:1], os.Args[2:]...)
	}
	flag.Parse()
	if mode != "holds" && mode != "spin" {
		fmt.Fprintln(os.Stderr, "usage: go-holds holds|spin [-mib N] [-cycles N] [-parked N] [-workers N] [-rate N] [-seconds N]")
		os.Exit(2)
	}
	if *mib < 1 || *workers < 1 || *rate < 1 {
		fmt.Fprintln(os.Stderr, "mib, workers and rate are 1 at least")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(*workers)
	debug.SetGCPercent(-1) // no cycles while the heap is built
	s := newService(*mib, *parked, *workers, *rate, mode == "holds")
	debug.SetGCPercent(100)
	s.start()
	runtime.GC()
	if mode == "holds" {
		measureHolds(*cycles)
	} else {
		measureSpin(*cycles, *seconds)
	}
	s.stop()
	runtime.KeepAlive(s)
}
