// Counterparts of gcruntime/gc/gc_bench.cc. What is allocated goes to a global, so that it escapes to
// the heap; the collector's work is in the figures, as it is there.
package bench

import (
	"math/rand"
	"testing"
)

// 56 bytes, in a slot of 64 on both sides.
type node struct {
	links  [4]*node
	values [3]int64
}

type numbers struct{ values [8]int64 }

var (
	nodeSink    *node
	numbersSink *numbers
	treeSink    *tree
	sumSink     int64
)

func BenchmarkAllocate64Scanned(b *testing.B) {
	defer measure(b, 1)()
	for i := 0; i < b.N; i++ {
		nodeSink = new(node)
	}
}

func BenchmarkAllocate64Noscan(b *testing.B) {
	defer measure(b, 1)()
	for i := 0; i < b.N; i++ {
		numbersSink = new(numbers)
	}
}

// 16 MiB behind: what a process with a working set sees.
func live16MiB() []*node {
	var live []*node
	for i := 0; i < 1<<18; i++ {
		live = append(live, new(node))
	}
	return live
}

func BenchmarkAllocate64ScannedLive16MiB(b *testing.B) {
	live := live16MiB()
	end := measure(b, 1)
	for i := 0; i < b.N; i++ {
		nodeSink = new(node)
	}
	end()
	nodeSink = live[len(live)-1]
}

func BenchmarkAllocate64NoscanLive16MiB(b *testing.B) {
	live := live16MiB()
	end := measure(b, 1)
	for i := 0; i < b.N; i++ {
		numbersSink = new(numbers)
	}
	end()
	nodeSink = live[len(live)-1]
}

const keyCount = 10_000

func shuffledKeys() []int32 {
	keys := make([]int32, keyCount)
	for i := range keys {
		keys[i] = int32(i) * 7919
	}
	rand.New(rand.NewSource(1)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

func BenchmarkMapInsert(b *testing.B) {
	keys := shuffledKeys()
	defer measure(b, keyCount)()
	for i := 0; i < b.N; i++ {
		m := map[int32]int64{}
		for _, key := range keys {
			m[key] = int64(key)
		}
		sumSink = int64(len(m))
	}
}

func BenchmarkMapFind(b *testing.B) {
	keys := shuffledKeys()
	m := map[int32]int64{}
	for _, key := range keys {
		m[key] = int64(key)
	}
	defer measure(b, keyCount)()
	for i := 0; i < b.N; i++ {
		sum := int64(0)
		for _, key := range keys {
			sum += m[key]
		}
		sumSink = sum
	}
}

type tree struct{ left, right *tree }

func makeTree(depth int) *tree {
	t := new(tree)
	if depth > 0 {
		t.left = makeTree(depth - 1)
		t.right = makeTree(depth - 1)
	}
	return t
}

// A node is one item.
func BenchmarkBinaryTreesDepth16(b *testing.B) {
	longLived := makeTree(16)
	end := measure(b, 1<<17-1)
	for i := 0; i < b.N; i++ {
		treeSink = makeTree(16)
	}
	end()
	treeSink = longLived
}
