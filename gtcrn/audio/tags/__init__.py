"""What a file tells beside its sound: titles, pictures, a WAV's chunks. Read, and put into a file of another kind."""
