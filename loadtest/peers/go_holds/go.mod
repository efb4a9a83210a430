module tailrace.example/peers/go_holds

go 1.22
