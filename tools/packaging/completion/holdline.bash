# Completion of holdline for bash. What can stand at the cursor is said by `holdline complete`.
_holdline() {
	local i word line words=() IFS=$'\n'
	# Bash takes `--flag=value` for three words.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((${#words[@]})) && [[ $word == = || (${COMP_WORDS[i - 1]} == = && ${words[-1]} == *=) ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
	done
	COMPREPLY=()
	for line in $("${COMP_WORDS[0]}" complete "${words[@]}" 2>/dev/null); do
		case $line in
		:files) return ;;
		:command*)
			if declare -F _command_offset >/dev/null; then
				# Its place among bash's own words.
				i=$((${line#:command } + 1 + COMP_CWORD - ${#words[@]}))
				unset IFS
				_command_offset "$i"
			elif ((${line#:command } + 1 >= ${#words[@]})); then
				COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
			fi
			return
			;;
		esac
		line=${line%%$'\t'*}
		[[ $line == *= ]] && compopt -o nospace
		# Of `--flag=value` only the value is at the cursor.
		[[ ${words[-1]} == *=* ]] && line=${line#*=}
		COMPREPLY+=("$line")
	done
	# Nothing fits: not even a file.
	((${#COMPREPLY[@]})) || compopt +o default +o bashdefault
}
complete -o default -o bashdefault -F _holdline holdline
