port=$1
shift
for path; do
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$path" >&3
	cat <&3 | sed '1,/^\r$/d'
	exec 3>&-
done
