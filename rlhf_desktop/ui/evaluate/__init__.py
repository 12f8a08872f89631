"""The Evaluate room: is the new model better, and how sure are we?"""
