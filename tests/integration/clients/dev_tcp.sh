port=$1
shift
for path; do
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$path" >&3
	body=
	while IFS= read -r line <&3; do
		[ -n "$body" ] && echo "$line"
		[ "$line" = $'\r' ] && body=yes
	done
	echo "$line"
	exec 3>&-
done
