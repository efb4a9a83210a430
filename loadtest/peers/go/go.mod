module tailrace.example/peers/go

go 1.22
